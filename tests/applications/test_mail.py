"""smtplib before a real SMTP server: plain, with STARTTLS and a login, with TLS from the first byte."""

from __future__ import annotations

import os
import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword

from linksocks import Client
from tests.support.certificates import Files
from tests.support.ports import free_port

PATIENCE = 10.0


class Post:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.mails: list[Envelope] = []

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: object, session: object, envelope: Envelope
    ) -> str:
        self.mails.append(envelope)
        return "250 kept"


def lets_in(
    server: object, session: object, envelope: object, mechanism: str, data: LoginPassword
) -> AuthResult:
    return AuthResult(success=(data.login, data.password) == (b"me", b"secret"), handled=False)


class Office(Controller):
    """Knows its connections, its own first one among them: what is open when it stops stays open for good."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._change = threading.Condition()
        self._open: set[SMTP] = set()

    def factory(self) -> SMTP:
        office = self

        class Session(SMTP):
            def connection_made(self, transport: Any) -> None:
                super().connection_made(transport)
                with office._change:
                    office._open.add(self)

            def connection_lost(self, error: Exception | None) -> None:
                super().connection_lost(error)
                with office._change:
                    office._open.discard(self)
                    office._change.notify()

        return Session(self.handler, **self.SMTP_kwargs)

    def wait_empty(self) -> None:
        with self._change:
            assert self._change.wait_for(lambda: not self._open, PATIENCE)


@contextmanager
def office(**settings: Any) -> Iterator[tuple[Post, int]]:
    """A mail server and its port."""
    controller = Office(Post(), "127.0.0.1", free_port(), **settings)
    controller.start()
    try:
        yield controller.handler, controller.port
        controller.wait_empty()
    finally:
        controller.stop()


def mailer(
    client: Client, host: str, port: int, kind: type[smtplib.SMTP] = smtplib.SMTP, **settings: Any
) -> smtplib.SMTP:
    """As a program writes it."""

    class Mailer(kind):
        def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
            sock = client.create_connection(("127.0.0.1", port), timeout)
            return self.context.wrap_socket(sock, server_hostname=host) if kind is smtplib.SMTP_SSL else sock

    return Mailer(host, port, timeout=PATIENCE, local_hostname="localhost", **settings)


def letter() -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "me@example.org", "you@example.org", "Grüße"
    message.set_content("Two lines.\n.\n")
    message.add_attachment(
        os.urandom(2_000_000), maintype="application", subtype="octet-stream", filename="blob"
    )
    return message


def attachment(mail: bytes) -> bytes:
    message = BytesParser(policy=default).parsebytes(mail)
    return next(message.iter_attachments()).get_content()


def sent(smtp: smtplib.SMTP, post: Post) -> None:
    """A letter arrives as it is, and its sender hears so."""
    mail = letter()
    assert smtp.send_message(mail) == {}
    (kept,) = post.mails
    assert (kept.mail_from, kept.rcpt_tos) == ("me@example.org", ["you@example.org"])
    assert attachment(kept.content) == attachment(bytes(mail))


def test_a_letter(client: Client) -> None:
    with office() as (post, port), mailer(client, "mail.example", port) as smtp:
        sent(smtp, post)


def test_starttls_and_a_login(client: Client, files: Files) -> None:
    with (
        office(tls_context=files.serving(), require_starttls=True, authenticator=lets_in) as (post, port),
        mailer(client, "target.example", port) as smtp,
    ):
        smtp.starttls(context=files.trusting())
        with pytest.raises(smtplib.SMTPAuthenticationError):
            smtp.login("me", "wrong")
        smtp.login("me", "secret")
        sent(smtp, post)


def test_starttls_with_another_name(client: Client, files: Files) -> None:
    with (
        office(tls_context=files.serving()) as (_, port),
        mailer(client, "other.example", port) as smtp,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        smtp.starttls(context=files.trusting())


def test_tls_from_the_first_byte(client: Client, files: Files) -> None:
    with (
        office(ssl_context=files.serving()) as (post, port),
        mailer(client, "target.example", port, smtplib.SMTP_SSL, context=files.trusting()) as smtp,
    ):
        sent(smtp, post)
