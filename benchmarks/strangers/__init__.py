"""What strangers learn, and whom they keep out: over HTTP, against real servers."""
