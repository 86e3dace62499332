"""Mails: the outbox, and the relay that takes them.

    settings.py             the relay, and who the mails are from
    kinds.py                what mails are about, how long they may wait, when they are tried again
    shares.py               how the rate is divided between forgotten passwords and all other mails
    outbox.py               what the services write, in the transaction that causes the mail
    mailings.py             the mails of a mailing, some hundred at a time
    forgotten_passwords.py  the mails of people who forgot their password
    messages.py             the texts, from `templates/`
    relay.py                the connection to the relay, and what its replies mean
    sender.py               takes the next mail, and sends it
    attempts.py             what is stored before a mail is sent, and what becomes of it
    queue.py                what is due, sent and failed, for owners; stopping mails

The tables are `outbox`, `mailings` and `mail_rate`. `server.background.mail` has the thread that
sends. No secret is at rest: the sender creates that of a link when it sends the mail.
"""
