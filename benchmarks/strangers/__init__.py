"""What strangers can learn, and which sign-ins and mails they can delay, at real servers."""
