"""
TPC-H on a real PostgreSQL: tables, data made once by the package tpchgen-cli, and its 22 statements with values.

In        a folder to keep the data in, a scale
Out       a database with primary keys and statistics; statements
Not here  indexes beside the primary keys (built.py)

Source: TPC Benchmark H, standard specification, revision 3.0.1, clauses 1.4 and 2.4.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

PACKAGE = "tpchgen-cli"
STATEMENTS = Path(__file__).with_name("tpch.sql")
TABLES = {
    "region": "r_regionkey int primary key, r_name char(25) not null, r_comment varchar(152)",
    "nation": "n_nationkey int primary key, n_name char(25) not null, n_regionkey int not null, n_comment varchar(152)",
    "part": "p_partkey int primary key, p_name varchar(55) not null, p_mfgr char(25) not null,"
    " p_brand char(10) not null, p_type varchar(25) not null, p_size int not null, p_container char(10) not null,"
    " p_retailprice numeric(15, 2) not null, p_comment varchar(23) not null",
    "supplier": "s_suppkey int primary key, s_name char(25) not null, s_address varchar(40) not null,"
    " s_nationkey int not null, s_phone char(15) not null, s_acctbal numeric(15, 2) not null,"
    " s_comment varchar(101) not null",
    "partsupp": "ps_partkey int not null, ps_suppkey int not null, ps_availqty int not null,"
    " ps_supplycost numeric(15, 2) not null, ps_comment varchar(199) not null, primary key (ps_partkey, ps_suppkey)",
    "customer": "c_custkey int primary key, c_name varchar(25) not null, c_address varchar(40) not null,"
    " c_nationkey int not null, c_phone char(15) not null, c_acctbal numeric(15, 2) not null,"
    " c_mktsegment char(10) not null, c_comment varchar(117) not null",
    "orders": "o_orderkey bigint primary key, o_custkey int not null, o_orderstatus char(1) not null,"
    " o_totalprice numeric(15, 2) not null, o_orderdate date not null, o_orderpriority char(15) not null,"
    " o_clerk char(15) not null, o_shippriority int not null, o_comment varchar(79) not null",
    "lineitem": "l_orderkey bigint not null, l_partkey int not null, l_suppkey int not null, l_linenumber int not null,"
    " l_quantity numeric(15, 2) not null, l_extendedprice numeric(15, 2) not null, l_discount numeric(15, 2) not null,"
    " l_tax numeric(15, 2) not null, l_returnflag char(1) not null, l_linestatus char(1) not null,"
    " l_shipdate date not null, l_commitdate date not null, l_receiptdate date not null,"
    " l_shipinstruct char(25) not null, l_shipmode char(10) not null, l_comment varchar(44) not null,"
    " primary key (l_orderkey, l_linenumber)",
}
SIZE = """
select sum(pg_relation_size(oid))::bigint from pg_class
where relkind = 'r' and relnamespace = 'public'::regnamespace
"""
READ_BYTES = 1 << 20
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Timed:
    """
    A statement with the values that it is timed with, as text.
    """

    name: str
    text: str
    values: tuple[str, ...]


def statements(scale: float) -> tuple[Timed, ...]:
    """
    Return the 22 statements with the values of the validation run; Q11's fraction goes with the scale.
    """
    found = re.findall(r"^-- (Q\d+) \| (.+)\n((?:(?!--).*\n?)+)", STATEMENTS.read_text(encoding="utf-8"), re.MULTILINE)
    timed = []
    for name, values, text in found:
        parts = tuple(value.strip() for value in values.split("|"))
        if name == "Q11":
            parts = (parts[0], f"{float(parts[1]) / scale:.8f}")
        timed.append(Timed(name, text.strip(), parts))
    assert len(timed) == 22
    return tuple(timed)


def fill(dsn: str, folder: Path, scale: float, say: Say) -> int:
    """
    Make the tables in an empty database and fill them; return their size in bytes.
    """
    data = generated(folder, scale, say)
    with psycopg.connect(dsn, autocommit=True) as connection:
        for table, columns in TABLES.items():
            connection.execute(sql.SQL("create table {} ({})").format(sql.Identifier(table), sql.SQL(columns)))
            # Lines end in a separator, which COPY would take for one column more.
            read = sql.SQL("copy {} from stdin with (format text, delimiter '|')").format(sql.Identifier(table))
            with connection.cursor().copy(read) as copy, (data / f"{table}.tbl").open("rb") as file:
                while lines := file.readlines(READ_BYTES):
                    copy.write(b"".join(lines).replace(b"|\n", b"\n"))
        connection.execute("vacuum analyze")
        row = connection.execute(SIZE).fetchone()
    assert row is not None
    return int(row[0])


def generated(folder: Path, scale: float, say: Say) -> Path:
    """
    Return the folder with a text file for each table, made there if it is not yet.
    """
    data = folder / f"tpch-{scale:g}"
    if (data / "done").exists():
        return data
    say(f"Making TPC-H's data at scale {scale:g} with {PACKAGE}")
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(parents=True)
    subprocess.run([_generator(folder), "--scale-factor", f"{scale:g}", "--output-dir", data], check=True)
    (data / "done").touch()
    return data


def _generator(folder: Path) -> Path:
    """
    Return the generator's program, installed into an environment of its own if it is not yet.
    """
    environment = folder / "tpchgen"
    program = environment / "bin" / PACKAGE
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        pip = [environment / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, PACKAGE], check=True)
    return program
