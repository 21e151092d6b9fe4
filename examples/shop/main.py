"""
The app: ``uvicorn shop.main:app``, with DATABASE_URL, SMTP_HOST and SMTP_PORT in the environment.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exception_handlers import http_exception_handler, request_validation_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.staticfiles import StaticFiles
from sqlalchemy.ext.asyncio import async_sessionmaker
from starlette.exceptions import HTTPException

from . import api, pages
from .db import make_engine


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """
    Keep the database engine for as long as the app runs.
    """
    engine = make_engine()
    app.state.sessions = async_sessionmaker(engine, expire_on_commit=False)
    try:
        yield
    finally:
        await engine.dispose()


app = FastAPI(title="The Shop", lifespan=lifespan)
app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"), name="static")
app.include_router(api.router)
app.include_router(pages.router)


@app.get("/health", include_in_schema=False)
async def health() -> dict[str, str]:
    """
    Say that the process answers.
    """
    return {"status": "ok"}


@app.exception_handler(HTTPException)
async def show_http_error(request: Request, error: HTTPException) -> Response:
    """
    Answer a person with a page and a program with JSON.
    """
    if error.status_code != 404 or request.url.path.startswith("/api/"):
        return await http_exception_handler(request, error)
    return pages.show(request, "not_found.html", status_code=404, path=request.url.path)


@app.exception_handler(RequestValidationError)
async def show_wrong_address(request: Request, error: RequestValidationError) -> Response:
    """
    Treat an address such as /products/lamp as one where there is no page.
    """
    if request.url.path.startswith("/api/"):
        return await request_validation_exception_handler(request, error)
    return pages.show(request, "not_found.html", status_code=404, path=request.url.path)
