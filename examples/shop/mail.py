"""
Mail to customers.
"""

from __future__ import annotations

import asyncio
import os
import smtplib
from email.message import EmailMessage

from .models import Order

SENDER = "The Shop <orders@shop.example>"
TIMEOUT_S = 10.0


async def send_confirmation(order: Order) -> None:
    """
    Tell a customer that the order is placed.

    Raises:
        OSError: the mail server cannot be reached, or (smtplib.SMTPException) refused the message.
    """
    message = EmailMessage()
    message["From"] = SENDER
    message["To"] = order.email
    message["Subject"] = f"Your order {order.id}"
    message.set_content(
        f"Dear {order.ship_to},\n\nthank you for your order {order.id} over {order.total} {order.currency}.\n"
        f"It goes to {order.street}, {order.postcode} {order.city}.\n\nThe Shop\n"
    )
    # smtplib blocks, and would hold every other request up from the event loop.
    await asyncio.to_thread(_deliver, message)


def _deliver(message: EmailMessage) -> None:
    host, port = os.environ.get("SMTP_HOST", "127.0.0.1"), int(os.environ.get("SMTP_PORT", "1025"))
    # Without local_hostname smtplib asks the name server for our own name, for each message.
    with smtplib.SMTP(host, port, local_hostname="shop.example", timeout=TIMEOUT_S) as server:
        server.send_message(message)
