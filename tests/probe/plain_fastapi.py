"""
A FastAPI app that knows nothing of OpenTelemetry.
"""

from __future__ import annotations

from fastapi import FastAPI

app = FastAPI()


@app.get("/plain")
def plain():
    return {}
