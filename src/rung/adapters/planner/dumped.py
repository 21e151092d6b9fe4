"""
A dump that somebody made elsewhere, so that whoever runs rung needs no access to production.

In        the folder that the script below wrote
Out       what the planner twin needs: definitions, statistics, sizes, settings, version
Not here  looking at a database oneself (facts.py), restoring (copying.py)

The folder holds column statistics, which are values of users: it is made for its owner's eyes only, and the script
says so.
"""

from __future__ import annotations

import json
from pathlib import Path

from rung.adapters.planner.copying import DUMP_FLAGS, SURROUNDINGS_FLAGS, TABLES_FLAGS
from rung.adapters.planner.facts import FACTS, Facts, facts_from
from rung.errors import BadFile

FACTS_FILE = "facts.json"
# In the order in which they are restored.
DUMP_FILES = ("surroundings.dump", "tables.dump")
SCRIPT = """\
#!/bin/sh
# Writes what rung's planner twin needs of a database into a folder: definitions and statistics, no rows.
#
#   sh planner-dump.sh 'postgresql://you@host/database' FOLDER [--schema=PATTERN | --table=PATTERN ...]
#
# It takes psql and pg_dump of PostgreSQL 18 or newer; the server may be older. The role must be allowed to SELECT
# from the tables (pg_read_all_data is enough). Nothing is written to the server.
# Leave the password to PGPASSWORD or ~/.pgpass: arguments can be read by everybody on the machine.
# Column statistics are values of your users: the most common ones, and some between. Keep the folder as you keep data.
set -eu
umask 077
database=$1 folder=$2
shift 2
mkdir -p "$folder"
PGAPPNAME=rung PGOPTIONS='-c default_transaction_read_only=on -c statement_timeout=60s -c lock_timeout=500ms'
export PGAPPNAME PGOPTIONS
psql --no-psqlrc --no-align --tuples-only --quiet --set ON_ERROR_STOP=1 --dbname "$database" \\
    --output "$folder/{facts_file}" <<'SQL'
{query};
SQL
unset PGOPTIONS
pg_dump {flags} \\
    {surroundings_flags} --dbname "$database" --file "$folder/{surroundings_file}"
pg_dump {flags} \\
    {tables_flags} --dbname "$database" --file "$folder/{tables_file}" "$@"
echo "Wrote $folder. Then, where rung runs: rung find --planner-dump $folder"
"""


def script() -> str:
    """
    Return the shell script that makes such a folder.
    """
    return SCRIPT.format(
        query=FACTS.format(names="null").strip(),
        flags=" ".join(flag for flag in DUMP_FLAGS if flag != "--no-password"),
        surroundings_flags=" ".join(f"'{flag}'" for flag in SURROUNDINGS_FLAGS),
        tables_flags=" ".join(TABLES_FLAGS),
        facts_file=FACTS_FILE,
        surroundings_file=DUMP_FILES[0],
        tables_file=DUMP_FILES[1],
    )


class PlannerDump:
    """
    The folder of a dump.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def facts(self) -> Facts:
        """
        Return what it says of sizes, settings and version.

        Raises:
            BadFile: it is none, or cut.
        """
        path = self.folder / FACTS_FILE
        try:
            return facts_from(json.loads(path.read_text("utf-8")))
        except OSError as problem:
            raise BadFile(str(path), str(problem.strerror), see="rung permissions --script") from None
        except (KeyError, TypeError, ValueError) as problem:
            found = f"not what the script writes ({type(problem).__name__}: {problem})"
            raise BadFile(str(path), found, see="rung permissions --script") from None

    def definitions(self) -> list[Path]:
        """
        Return the files that pg_dump wrote, in the order in which they are restored.

        Raises:
            BadFile: one is not there.
        """
        paths = [self.folder / name for name in DUMP_FILES]
        for path in paths:
            if not path.is_file():
                raise BadFile(str(path), "there is no such file", see="rung permissions --script")
        return paths
