"""
Every error that rung tells a person, as one tree.

    RungError
    ├── UsageError                  what was typed does not fit
    │   ├── UnknownName             a command, setting or move that does not exist; did you mean
    │   ├── BadValue                a setting or flag with a value of the wrong kind or unit
    │   ├── BadFile                 a file that the person wrote and that cannot be read
    │   ├── FileUnwritable          a file for the person that cannot be written
    │   └── ExtraMissing            a part that is not installed, with the pip line
    ├── RecordingError              a recording that cannot be read
    │   ├── RecordingMissing        there is none
    │   ├── RecordingEmpty          nothing was recorded
    │   ├── RecordingTooShort       too few requests to read a percentile from
    │   ├── RecordingBroken         truncated, or not a recording
    │   ├── RecordingTooNew         written by a newer rung
    │   ├── PackRefused             a file to carry that is none, or holds what it should not
    │   ├── TracesUnreadable        others' traces without a request in them
    │   └── AnswersUnwritable       what the database answered about it cannot be kept beside it
    ├── CommandError                the user's own command
    │   ├── CommandNotFound         no such program (status 127)
    │   ├── CommandNotExecutable    not a program (status 126)
    │   ├── CommandNotStarted       the recorder could not be set up around it (status 125)
    │   └── SocketRefused           a collector cannot listen where it should
    ├── StoreError                  an object store, where a fleet's recordings are
    │   ├── StoreUnreachable        nothing answers there
    │   ├── BucketMissing           there is no such bucket
    │   ├── StoreDenied             it does not let us in, or not do this
    │   └── StoreRefused            it answers otherwise: a region, a clock, another object of that name
    ├── EngineError                 a ClickHouse server that works the profile out
    │   ├── EngineUnreachable       nothing answers there
    │   └── EngineRefused           it does not let us in, or cannot read the recording
    ├── DatabaseError               a PostgreSQL server
    │   ├── DatabaseNotGiven        none was named
    │   ├── DatabaseRefused         it cannot be reached, or does not let us in
    │   ├── DatabaseDenied          it lets us in, but not do this
    │   ├── StatementRefused        a statement has no plan as it stands, or may not be run
    │   └── ClusterFailed           the managed server did not start
    ├── TrafficError                load
    │   ├── TargetUnreachable       nothing answers at the URL
    │   ├── ReplayRefused           a recording cannot be sent again as it stands
    │   ├── LoadVoid                the sender was too slow for what it sent to say anything
    │   └── PortInUse               something else listens where the demo's app should
    ├── MoveError                   a move
    │   ├── NothingToTake           no move is on offer
    │   ├── SettingByHand           a setting is changed by people; there is nothing to run
    │   ├── PatchUnfit              the lines that a patch changes are not there any more
    │   ├── BuildBlocked            old transactions would hold the index build up
    │   └── BuildFailed             the database did not take the change; nothing is left behind
    └── LedgerError                 the ledger cannot answer

Each says what happened (with the values), why it matters, and what to type next, and holds the values as data.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence

NextStep = tuple[str, str]  # (what it does, what to type)


class RungError(Exception):
    """
    What happened, why it matters, and what to type next.

    Attributes:
        code: Stable name, used by the docs, the JSON output and later surfaces.
        exit_status: What the command exits with.
        message: What happened, with the values.
        why: Why it matters, one or two sentences.
        steps: Pairs of what a next step does and the line to type for it.
    """

    code = "error"
    exit_status = 2

    def __init__(self, message: str, *, why: str, steps: Sequence[NextStep]) -> None:
        super().__init__(message)
        self.message = message
        self.why = why
        self.steps = tuple(steps)


class UsageError(RungError):
    """
    What was typed does not fit any command.
    """

    code = "usage"


class UnknownName(UsageError):
    """
    A command, setting or move of that name does not exist.
    """

    code = "unknown-name"

    def __init__(
        self, kind: str, name: str, *, known: Sequence[str], where: str = "", see: str = "rung --help"
    ) -> None:
        import difflib

        self.kind, self.name, self.known = kind, name, tuple(known)
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        self.closest = close[0] if close else None
        meant = f"; did you mean {self.closest!r}?" if self.closest else ""
        super().__init__(
            f"unknown {kind} {name!r}{f' in {where}' if where else ''}{meant}",
            why=f"Known are: {', '.join(known)}.",
            steps=(("See what there is", see),),
        )


class BadValue(UsageError):
    """
    A setting or flag has a value of the wrong kind or unit.
    """

    code = "bad-value"

    def __init__(self, name: str, value: object, *, expected: str, where: str = "") -> None:
        self.name, self.value, self.expected = name, value, expected
        super().__init__(
            f"{name} cannot be {value!r}{f' ({where})' if where else ''}; it takes {expected}",
            why="Nothing was run, because a guess at what was meant could change what is measured.",
            steps=(("See every setting with its unit", "rung --help"),),
        )


class BadFile(UsageError):
    """
    A file that the person wrote cannot be read.
    """

    code = "bad-file"

    def __init__(self, path: str, problem: str, *, see: str = "rung --help") -> None:
        self.path, self.problem = path, problem
        super().__init__(
            f"cannot use {path}: {problem}",
            why="rung does not guess at the rest of a file that it cannot read as a whole.",
            steps=(("Mend the file, then look again", see),),
        )


class FileUnwritable(UsageError):
    """
    A file for the person's repository, or to carry a recording, cannot be written.
    """

    code = "file-unwritable"

    def __init__(self, path: str, problem: str, *, see: str = "rung ledger") -> None:
        self.path, self.problem = path, problem
        super().__init__(
            f"cannot write {path}: {problem}",
            why="Nothing of it was left behind; what was there before is as it was.",
            steps=(("Make room or give leave, then look again", see),),
        )


class ExtraMissing(UsageError):
    """
    A part of rung that this command needs is not installed.
    """

    code = "extra-missing"

    def __init__(self, module: str, *, extra: str = "tool", instead: NextStep | None = None) -> None:
        self.module, self.extra = module, extra
        super().__init__(
            f"this command needs {module}, which is not installed here",
            why="`pip install rung` brings the recorder alone, so that an app's image stays small.",
            steps=(("Install the whole tool", f"pip install 'rung[{extra}]'"), *((instead,) if instead else ())),
        )


class RecordingError(RungError):
    """
    A recording cannot be read or written.
    """

    code = "recording"


class RecordingMissing(RecordingError):
    """
    There is no recording where one was looked for.
    """

    code = "recording-missing"

    def __init__(self, looked_in: str, *, wanted: str = "a recording") -> None:
        self.looked_in = looked_in
        super().__init__(
            f"found no {wanted.removeprefix('a ')} in {looked_in}",
            why="Everything rung says comes from recorded requests.",
            steps=(
                ("Record your app", "rung record -- uvicorn yourapp:app"),
                ("Then send it traffic", "rung load http://127.0.0.1:8000/"),
            ),
        )


class RecordingEmpty(RecordingError):
    """
    A recording holds no request.
    """

    code = "recording-empty"

    def __init__(self, path: str, *, processes: int) -> None:
        self.path, self.processes = path, processes
        super().__init__(
            f"{path} holds no request ({processes} app process{'es' if processes != 1 else ''} reported)",
            why=(
                "No process reported: another interpreter or virtual environment without rung, python -I/-E/-S, "
                "a cleared environment, or an app on none of FastAPI, Starlette, Litestar, Django and Flask."
                if processes == 0
                else "The app was recorded, but nobody sent it a request that it answered."
            ),
            steps=(
                ("Record again", "rung record -- python -m uvicorn yourapp:app"),
                ("And send it traffic", "rung load http://127.0.0.1:8000/"),
            ),
        )


class RecordingTooShort(RecordingError):
    """
    The recording holds too few requests of any route to read the asked percentile from.
    """

    code = "recording-too-short"

    def __init__(self, *, requests: int, requests_min: int, lasted_s: float, percentile: int) -> None:
        from rung.units import show_seconds

        self.requests, self.requests_min, self.lasted_s, self.percentile = requests, requests_min, lasted_s, percentile
        needed_s = max(30, math.ceil(1.2 * requests_min * max(lasted_s, 1.0) / max(requests, 1)))
        super().__init__(
            f"cannot read p{percentile} from {requests} requests of one route in {show_seconds(lasted_s)}; "
            f"it takes {requests_min}",
            why=f"With so few, p{percentile} is one accident, not a property of the app.",
            steps=(
                ("Record for longer", f"rung load http://127.0.0.1:8000/ --duration {needed_s}s"),
                ("Or ask for the median", "rung find --percentile 50"),
            ),
        )


class RecordingBroken(RecordingError):
    """
    A recording is truncated, or is not one.
    """

    code = "recording-broken"

    def __init__(self, path: str, problem: str) -> None:
        self.path, self.problem = path, problem
        super().__init__(
            f"{path} cannot be read: {problem}",
            why="A percentile read from half of a recording would look like an answer and be none.",
            steps=(("Record again", "rung record -- uvicorn yourapp:app"),),
        )


class RecordingTooNew(RecordingError):
    """
    A recording was written by a newer rung, in a format that this one does not know.
    """

    code = "recording-too-new"

    def __init__(self, path: str, *, format_found: int, format_known: int, rung_version: str) -> None:
        self.path, self.format_found, self.format_known = path, format_found, format_known
        super().__init__(
            f"{path} has format {format_found}, written by rung {rung_version}; this rung reads up to {format_known}",
            why="An older reader would miss what the newer format adds, without knowing it.",
            steps=(("Upgrade", f"pip install 'rung[tool]>={rung_version}'"),),
        )


class PackRefused(RecordingError):
    """
    A file to carry is not one, or holds what no recording holds.
    """

    code = "pack-refused"

    def __init__(self, path: str, problem: str) -> None:
        self.path, self.problem = path, problem
        super().__init__(
            f"{path} was not unpacked: {problem}",
            why="Such a file may have been cut short on its way, or made to write elsewhere; nothing of it was kept.",
            steps=(("Pack the recording again where it was made, and carry it over", "rung pack"),),
        )


class TracesUnreadable(RecordingError):
    """
    Files of others' traces hold no request that can be read.
    """

    code = "traces-unreadable"

    def __init__(self, files: str, problem: str) -> None:
        self.files, self.problem = files, problem
        super().__init__(
            f"no request can be read from {files}: {problem}",
            why="A finding is about requests that an app answered. Nothing was kept.",
            steps=(
                ("See what is read", "rung find --help"),
                ("Or record the app itself", "rung record -- uvicorn yourapp:app"),
            ),
        )


class AnswersUnwritable(RecordingError):
    """
    What the database answered about a recording cannot be kept beside it.
    """

    code = "answers-unwritable"

    def __init__(self, path: str, problem: str) -> None:
        self.path, self.problem = path, problem
        super().__init__(
            f"cannot keep the database's answers in {path}: {problem}",
            why="Without them the same finding could not be made again from files alone. The recording is as it was.",
            steps=(("Make room or give leave, then ask again", "rung find"),),
        )


class CommandError(RungError):
    """
    The command to be recorded cannot be run.
    """

    code = "command"


class CommandNotFound(CommandError):
    """
    There is no program of that name.
    """

    code = "command-not-found"
    exit_status = 127

    def __init__(self, program: str) -> None:
        self.program = program
        super().__init__(
            f"no program named {program!r}",
            why="Nothing was started and nothing recorded.",
            steps=(("Name the server as you would without rung", "rung record -- uvicorn yourapp:app"),),
        )


class CommandNotExecutable(CommandError):
    """
    The file exists but cannot be executed.
    """

    code = "command-not-executable"
    exit_status = 126

    def __init__(self, program: str, problem: str) -> None:
        self.program, self.problem = program, problem
        super().__init__(
            f"cannot execute {program!r}: {problem}",
            why="Nothing was started and nothing recorded.",
            steps=(("Run a script by its interpreter", f"rung record -- python {program}"),),
        )


class CommandNotStarted(CommandError):
    """
    The recorder could not be set up around the command.
    """

    code = "command-not-started"
    exit_status = 125

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(
            f"the recorder could not be set up: {problem}",
            why="The command was not started, so that nobody takes an unrecorded run for a recorded one.",
            steps=(
                ("Run it unrecorded", "RUNG=off rung record -- uvicorn yourapp:app"),
                (
                    "Or record to a folder that can be written",
                    "RUNG_FOLDER=/tmp/rung rung record -- uvicorn yourapp:app",
                ),
            ),
        )


class SocketRefused(CommandError):
    """
    A collector cannot listen at the path that was named.
    """

    code = "socket-refused"

    def __init__(self, path: str, problem: str) -> None:
        self.path, self.problem = path, problem
        super().__init__(
            f"cannot listen at {path}: {problem}",
            why="Apps send what they record to this path; until somebody listens there it is dropped and counted.",
            steps=(
                ("Listen somewhere short that is yours", "rung collect --socket /tmp/rung.socket"),
                ("Or write frames without a collector", "rung record --raw -- uvicorn yourapp:app"),
            ),
        )


class StoreError(RungError):
    """
    An object store does not do what was asked.
    """

    code = "store"


class StoreUnreachable(StoreError):
    """
    Nothing answers where the store should be.
    """

    code = "store-unreachable"

    def __init__(self, url: str, problem: str) -> None:
        self.url, self.problem = url, problem
        super().__init__(
            f"{url} cannot be reached: {problem}",
            why="Recordings are whole on their own disk; what is missing in the store is sent later.",
            steps=(
                (
                    "Name the endpoint where it is one's own",
                    "AWS_ENDPOINT_URL=http://127.0.0.1:9000 rung push",
                ),
                ("Or send it later", "rung push"),
            ),
        )


class BucketMissing(StoreError):
    """
    The store has no bucket of that name.
    """

    code = "bucket-missing"

    def __init__(self, url: str) -> None:
        self.url = url
        super().__init__(
            f"there is no bucket for {url}",
            why="rung makes none: who may read it is for you to say.",
            steps=(("Make it, with the policies of docs/fleets.md, then send what waits", "rung push"),),
        )


class StoreDenied(StoreError):
    """
    The store knows no credentials of ours, or they may not do this.
    """

    code = "store-denied"

    def __init__(self, url: str, problem: str) -> None:
        self.url, self.problem = url, problem
        super().__init__(
            f"{url} does not let us: {problem}",
            why="Credentials come from the environment (AWS_*, GOOGLE_*, AZURE_*) or the host's own role. Writing "
            "takes PutObject and ListBucket, reading GetObject and ListBucket (docs/fleets.md).",
            steps=(("Give leave, then send what waits", "rung push"),),
        )


class StoreRefused(StoreError):
    """
    The store answers, and takes or gives nothing.
    """

    code = "store-refused"

    def __init__(
        self, url: str, problem: str, *, why: str = "Nothing was overwritten, and nothing half is there."
    ) -> None:
        self.url, self.problem = url, problem
        super().__init__(f"{url} refuses: {problem}", why=why, steps=(("Then try again", "rung push"),))


class EngineError(RungError):
    """
    A server that works the profile out does not do what was asked.
    """

    code = "engine"


class EngineUnreachable(EngineError):
    """
    Nothing answers where the engine should be.
    """

    code = "engine-unreachable"

    def __init__(self, address: str, problem: str) -> None:
        self.address, self.problem = address, problem
        super().__init__(
            f"no ClickHouse answers at {address}: {problem}",
            why="It is asked over HTTP, usually on port 8123 (8443 with TLS).",
            steps=(("Without it, DuckDB reads the same here", "rung find"),),
        )


class EngineRefused(EngineError):
    """
    The engine does not let us in, or cannot read the recording.
    """

    code = "engine-refused"

    def __init__(self, address: str, problem: str) -> None:
        self.address, self.problem = address, problem
        super().__init__(
            f"ClickHouse at {address} refuses: {problem}",
            why="It reads the store by itself: its own role, or a named collection of it, needs GetObject there.",
            steps=(("Without it, DuckDB reads the same here", "rung find"),),
        )


class DatabaseError(RungError):
    """
    A PostgreSQL server did not do what was asked.
    """

    code = "database"


class DatabaseNotGiven(DatabaseError):
    """
    The command needs a database, and none was named.
    """

    code = "database-not-given"

    def __init__(self, *, command: str = "rung find") -> None:
        super().__init__(
            "no database was named",
            why="It is looked for in --database, rung.toml ([database] url), DATABASE_URL and PGHOST/PGDATABASE.",
            steps=(("Name it", f"{command} --database postgresql://you@localhost/yourdb"),),
        )


class DatabaseRefused(DatabaseError):
    """
    A server cannot be reached, or does not let us in.
    """

    code = "database-refused"

    def __init__(self, server: str, problem: str) -> None:
        self.server, self.problem = server, problem
        super().__init__(
            f"the database at {server} refused: {problem}",
            why="rung asks it for plans and statistics; without them no index can be priced or built.",
            steps=(("Try the same address by hand", "psql postgresql://you@localhost/yourdb -c 'select 1'"),),
        )


class DatabaseDenied(DatabaseError):
    """
    The server lets us in, but the role may not do this.
    """

    code = "database-denied"

    def __init__(self, role: str, doing: str, problem: str) -> None:
        self.role, self.doing, self.problem = role, doing, problem
        super().__init__(
            f"role {role!r} may not {doing}: {problem}",
            why="Nothing was changed. docs/permissions.md lists the least that each command needs.",
            steps=(
                (
                    "Use a role that owns the table",
                    "rung take --apply --database postgresql://owner@localhost/yourdb",
                ),
            ),
        )


class StatementRefused(DatabaseError):
    """
    A statement has no plan as it stands, or may not be run to be measured.
    """

    code = "statement-refused"

    def __init__(self, problem: str, *, why: str, steps: Sequence[NextStep] = ()) -> None:
        super().__init__(problem, why=why, steps=(*steps, ("See what explain takes", "rung explain --help")))


class ClusterFailed(DatabaseError):
    """
    The PostgreSQL server that rung manages itself did not start.
    """

    code = "cluster-failed"

    def __init__(self, problem: str, *, log: str) -> None:
        self.problem, self.log = problem, log
        super().__init__(
            f"PostgreSQL did not start: {problem}",
            why=(
                f"Its own last words: {log.strip()}"
                if log.strip()
                else "It is what plans an index without touching yours, and what the demo runs on."
            ),
            steps=(("Use a server of your own", "rung demo --database postgresql://you@localhost/postgres"),),
        )


class TrafficError(RungError):
    """
    Load could not be sent.
    """

    code = "traffic"


class TargetUnreachable(TrafficError):
    """
    Nothing answers at the URL.
    """

    code = "target-unreachable"

    def __init__(self, url: str, problem: str) -> None:
        self.url, self.problem = url, problem
        super().__init__(
            f"nothing answers at {url}: {problem}",
            why="No request was sent.",
            steps=(("Start your app, recorded", "rung record -- uvicorn yourapp:app"),),
        )


class ReplayRefused(TrafficError):
    """
    A recording cannot be sent again: nothing of it may be, or *routes* need values that nobody gave.
    """

    code = "replay-refused"

    def __init__(self, problem: str, *, why: str, routes: Sequence[str] = ()) -> None:
        self.routes = tuple(routes)
        load = "rung load http://127.0.0.1:8000/ --replay RECORDING"
        super().__init__(
            problem,
            why=why,
            steps=(
                ("Say in a load file what its routes need", f"{load} --routes load.toml"),
                ("Or send writes, too, where the database is disposable", f"{load} --routes load.toml --disposable"),
            )[: 1 if routes else None],
        )


class LoadVoid(TrafficError):
    """
    The sender was the bottleneck, so that what it saw says nothing about the app.
    """

    code = "load-void"

    def __init__(self, reason: str, *, command: str, rate_per_s: float) -> None:
        self.reason, self.rate_per_s = reason, rate_per_s
        super().__init__(
            f"the comparison is void: {reason}",
            why="Latency counts from when a request was due; a sender that is late itself passes for a slow app.",
            steps=(("Send fewer, or from a machine with room", f"{command} --rate {max(rate_per_s / 2, 1):g}"),),
        )


class PortInUse(TrafficError):
    """
    Something else listens where the demo's app should.
    """

    code = "port-in-use"

    def __init__(self, port: int) -> None:
        self.port = port
        super().__init__(
            f"port {port} of 127.0.0.1 is in use",
            why="Load sent there would reach somebody else's program.",
            steps=(("Let the system choose a free one", "rung demo --port 0"),),
        )


class MoveError(RungError):
    """
    A move cannot be taken.
    """

    code = "move"


class NothingToTake(MoveError):
    """
    No move is on offer under that name.
    """

    code = "nothing-to-take"

    def __init__(self, asked: str | None, *, on_offer: Sequence[str], reason: str) -> None:
        self.asked, self.on_offer = asked, tuple(on_offer)
        super().__init__(
            f"no move {asked!r} is on offer" if asked else "no move is on offer",
            why=reason,
            steps=(("See the whole ladder", "rung price"),),
        )


class SettingByHand(MoveError):
    """
    A setting was to be applied: it stands in the user's code or command, which rung does not touch.
    """

    code = "setting-by-hand"

    def __init__(self, move: str) -> None:
        self.move = move
        super().__init__(
            f"{move} is a setting: there is nothing that rung could run",
            why="It stands in your app's code or configuration, or in the command that starts it. Nothing was changed.",
            steps=(
                ("Write down what to set, and its undo", f"rung take {shlex.quote(move)}"),
                ("Set it, record the same load again, then", "rung confirm"),
            ),
        )


class PatchUnfit(MoveError):
    """
    The lines that a patch of the user's code changes are not there, or not as they were.
    """

    code = "patch-unfit"

    def __init__(self, path: str, *, back: bool) -> None:
        self.path, self.back = path, back
        super().__init__(
            f"the patch {'cannot be taken back from' if back else 'does not fit'} {path}",
            why="Its lines have changed since, or the file is not there. Nothing was written.",
            steps=(
                ("Record the app as it is now", "rung record -- uvicorn yourapp:app"),
                ("Then have the patch made anew", "rung take nplusone"),
            ),
        )


class BuildBlocked(MoveError):
    """
    Old transactions would hold an index build up for as long as they stay open.
    """

    code = "build-blocked"

    def __init__(self, transactions: Sequence[str]) -> None:
        self.transactions = tuple(transactions)
        super().__init__(
            f"{len(self.transactions)} open transactions would hold the build up: {'; '.join(self.transactions)}",
            why="CREATE INDEX CONCURRENTLY waits for every transaction that began before it. Nothing was changed.",
            steps=(
                ("End them, then take it again", "rung take index --apply"),
                ("Or wait for them", "rung take index --apply --wait"),
            ),
        )


class BuildFailed(MoveError):
    """
    The database did not take the change; nothing of it is left behind.
    """

    code = "build-failed"

    def __init__(self, statement: str, problem: str, *, left: str) -> None:
        self.statement, self.problem, self.left = statement, problem, left
        super().__init__(
            f"{statement} failed: {problem}",
            why=left,
            steps=(("Try again", "rung take --apply"),),
        )


class LedgerError(RungError):
    """
    The ledger has no entry of the kind that the command needs.
    """

    code = "ledger"

    def __init__(self, problem: str, *, why: str, steps: Sequence[NextStep]) -> None:
        super().__init__(problem, why=why, steps=steps)
