"""The forms in which a secret turns up in what programs write; steps of the tests use it too."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus


def spellings(text: str) -> dict[str, str]:
    """Give a text in each form, by its name."""
    content = text.encode()
    return {
        "plain": text,
        "upper case": text.upper(),
        "lower case": text.lower(),
        "JSON": json.dumps(text),
        "JSON, unescaped": json.dumps(text, ensure_ascii=False),
        "URL": quote(text, safe=""),
        "URL, slashes kept": quote(text),
        "form": quote_plus(text),
        "hexadecimal": content.hex(),
        "HEXADECIMAL": content.hex().upper(),
        **{f"base64 after {n} bytes": base64.b64encode(b"x" * n + content).decode() for n in range(6)},
        "base64 for URLs": base64.urlsafe_b64encode(content).decode(),
        "base64 for URLs, inside": base64.urlsafe_b64encode(b"x" + content + b"yz").decode(),
        "header": f"Authorization: Bearer {text}",
        "query": f"GET /?key={quote_plus(text)}&x=1 HTTP/1.1",
        "assignment": f"export TOKEN={text}",
        "twice": text + text,
    }
