"""
A storefront on FastAPI, SQLAlchemy and PostgreSQL, the way a capable team writes it in its first year.
"""
