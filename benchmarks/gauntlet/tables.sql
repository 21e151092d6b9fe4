-- The tables of all scenarios; laid once, each scenario has a copy. Faults are laid on top (Scenario.sql).
SELECT setseed(0.25);

CREATE TABLE customer (id int PRIMARY KEY, name text NOT NULL, city text NOT NULL);
INSERT INTO customer SELECT n, 'customer ' || n, 'city ' || n % 90 FROM generate_series(1, 4000) AS n;

CREATE TABLE product (id int PRIMARY KEY, name text NOT NULL, price numeric(10, 2) NOT NULL, text text NOT NULL);
INSERT INTO product SELECT n, 'product ' || n, n / 7.0, repeat('word ', 20) FROM generate_series(1, 3000) AS n;

CREATE TABLE orders (
    id int PRIMARY KEY, customer_id int NOT NULL, created_at timestamptz NOT NULL, total numeric(10, 2) NOT NULL
);
INSERT INTO orders
SELECT n, 1 + (random() * 3999)::int, timestamptz '2026-01-01' + n * interval '58 seconds', (random() * 300)::numeric(10, 2)
FROM generate_series(1, 250000) AS n;
CREATE INDEX orders_customer ON orders (customer_id, created_at DESC);

CREATE TABLE cart_line (cart_id int NOT NULL, product_id int NOT NULL, pieces int NOT NULL);
INSERT INTO cart_line
SELECT cart, 1 + (random() * 2999)::int, 1 FROM generate_series(1, 300) AS cart, generate_series(1, 80) AS line;
CREATE INDEX cart_line_cart ON cart_line (cart_id);

-- First seen while every visit was of one kind.
CREATE TABLE visit (id int PRIMARY KEY, kind text NOT NULL, day int NOT NULL, page text NOT NULL)
WITH (autovacuum_enabled = false);
INSERT INTO visit SELECT n, 'person', n % 400, 'page ' || n % 50 FROM generate_series(1, 40000) AS n;
CREATE INDEX visit_kind ON visit (kind);
CREATE INDEX visit_day ON visit (day);
ANALYZE visit;
INSERT INTO visit SELECT n, 'robot', n % 400, 'page ' || n % 50 FROM generate_series(40001, 160000) AS n;

CREATE TABLE stock (id int PRIMARY KEY, pieces int NOT NULL);
INSERT INTO stock SELECT n, 100000000 FROM generate_series(1, 500) AS n;
CREATE TABLE purchase (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY, product_id int NOT NULL, customer_id int NOT NULL
);

-- What a database waits for without computing: a foreign server, a disk.
CREATE FUNCTION stock_level(number int, wait_s float8) RETURNS int LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_sleep(wait_s); RETURN number % 9; END $$;
CREATE FUNCTION tax_rate(number int, wait_s float8) RETURNS int LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_sleep(wait_s); RETURN number % 20; END $$;
CREATE FUNCTION delivery_day(number int, wait_s float8) RETURNS int LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_sleep(wait_s); RETURN number % 7; END $$;
CREATE FUNCTION discount(number int, wait_s float8) RETURNS int LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_sleep(wait_s); RETURN number % 5; END $$;

ANALYZE customer, product, orders, cart_line, stock;
CREATE EXTENSION pg_stat_statements;
