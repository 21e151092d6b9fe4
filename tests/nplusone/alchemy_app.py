"""
One process with all of SQLAlchemy's cases.
"""

import alchemy_async
import alchemy_loops
import alchemy_sync
from fastapi import FastAPI

app = FastAPI()
app.include_router(alchemy_sync.router)
app.include_router(alchemy_async.router)
app.include_router(alchemy_loops.router)
