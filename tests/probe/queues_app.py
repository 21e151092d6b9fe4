"""
A web app that hands jobs to the queue that QUEUE names.
"""

import importlib
import os

from flask import Flask

queue = importlib.import_module(os.environ["QUEUE"])
app = Flask(__name__)


@app.get("/enqueue")
def enqueue():
    queue.enqueue()
    return "queued"


@app.get("/at-once")
def at_once():
    queue.at_once()
    return "done"
