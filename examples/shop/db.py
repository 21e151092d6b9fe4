"""
The database: one engine for the app's lifetime, one session for each request.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine


def make_engine() -> AsyncEngine:
    """
    Return an engine for the database that DATABASE_URL names; it connects when first used.
    """
    url = make_url(os.environ["DATABASE_URL"]).set(drivername="postgresql+asyncpg")
    return create_async_engine(url, pool_size=10, max_overflow=0)


async def open_session(request: Request) -> AsyncIterator[AsyncSession]:
    """
    Yield a session of this request; what was not committed is rolled back.
    """
    sessions: async_sessionmaker[AsyncSession] = request.app.state.sessions
    async with sessions() as session:
        yield session


Session = Annotated[AsyncSession, Depends(open_session)]
