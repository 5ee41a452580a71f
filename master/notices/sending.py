"""Notices sent: by mail, and to a webhook as JSON. Blocking; a notice that can't be sent is tried again, then logged.

Not by Buildbot's own MailNotifier: its TLS from the first byte on checks no certificate.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import smtplib
import ssl
import time
from collections.abc import Callable
from dataclasses import asdict
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

import httpx

from master.notices.choice import Notices
from master.notices.deciding import Notice
from master.secrets.places import Keeping, read
from workers.errors import Failure

PAUSES_S = (0.0, 5.0, 60.0)
TIMEOUT_S = 30


class Sending:
    """Where notices go. keeping: where the password and the webhook's secret are."""

    def __init__(self, chosen: Notices, keeping: Keeping, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self.chosen, self.keeping, self._sleep = chosen, keeping, sleep

    def send(self, notice: Notice) -> list[str]:
        """Sends a notice to all; what could not be sent, a line each, without any secret."""
        ways: list[tuple[str, Callable[[Notice], None]]] = []
        if self.chosen.mail_to:
            ways.append((f"mail by {self.chosen.smtp_host}", self._mail))
        if self.chosen.webhook is not None:
            ways.append(("webhook", self._post))
        return [f"{name}: {problem}" for name, way in ways if (problem := self._tried(way, notice))]

    def _tried(self, way: Callable[[Notice], None], notice: Notice) -> str:
        problem = ""
        for pause in PAUSES_S:
            self._sleep(pause)
            try:
                way(notice)
                return ""
            except Failure as failure:
                problem = f"{failure.what}{f' ({failure.found})' if failure.found else ''}"
            except (OSError, smtplib.SMTPException, httpx.HTTPError) as error:
                problem = f"{type(error).__name__}: {str(error)[:200]}"
        return problem

    def _secret(self, file: str) -> str:
        return read(self.keeping.place(file))

    def _mail(self, notice: Notice) -> None:
        chosen = self.chosen
        message = EmailMessage()
        message["Subject"] = f"[pymint] {_line(notice.subject)}"
        message["From"], message["To"] = chosen.mail_from, ", ".join(chosen.mail_to)
        message["Date"], message["Message-ID"] = formatdate(), make_msgid(domain="pymint.invalid")
        message["Auto-Submitted"] = "auto-generated"
        message["X-Pymint-Kind"] = notice.kind
        message.set_content(f"{notice.text}\n{notice.page and f'{chr(10)}{notice.page}{chr(10)}'}")
        checked = ssl.create_default_context()
        if chosen.smtp_tls == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                chosen.smtp_host, chosen.smtp_port, timeout=TIMEOUT_S, context=checked
            )
        else:
            server = smtplib.SMTP(chosen.smtp_host, chosen.smtp_port, timeout=TIMEOUT_S)
        with server:
            if chosen.smtp_tls == "starttls":
                server.starttls(context=checked)
            if chosen.smtp_user is not None and chosen.smtp_password_file is not None:
                server.login(chosen.smtp_user, self._secret(chosen.smtp_password_file))
            server.send_message(message)

    def _post(self, notice: Notice) -> None:
        body = json.dumps({"schema": "pymint/notice/1", "at": int(time.time()), **asdict(notice)}).encode()
        headers = {"Content-Type": "application/json"}
        if self.chosen.webhook_secret_file is not None:
            key = self._secret(self.chosen.webhook_secret_file).encode()
            headers["X-Pymint-Signature-256"] = f"sha256={hmac.new(key, body, hashlib.sha256).hexdigest()}"
        answer = httpx.post(self.chosen.webhook or "", content=body, headers=headers, timeout=TIMEOUT_S)
        if not answer.is_success:
            raise httpx.HTTPError(f"the webhook answered {answer.status_code}")


def _line(text: str) -> str:
    """A header is one line, whatever a commit's or a step's words hold."""
    return " ".join(text.split())[:200]
