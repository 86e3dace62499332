"""Mails: the outbox, and the relay that takes them.

    settings.py         the relay, and who the mails are from
    kinds.py            what mails are about, how long they may wait, and when they are tried again
    outbox.py           what the services write, in the transaction that causes the mail
    password_resets.py  the mails of people who forgot their password
    messages.py         the texts, from `templates/`
    relay.py            the connection to the relay, and what its replies mean
    sender.py           takes a mail up, sends it, and notes what became of it
    queue.py            what is due, sent and failed, for owners; stopping mails

The tables are `outbox`, `mailings` and `mail_rate`. `server.background.mail` has the thread that
sends. No secret is at rest: the sender creates that of a link when it sends the mail.
"""
