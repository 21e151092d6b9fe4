CREATE TABLE customer (id bigserial PRIMARY KEY, name text NOT NULL);
CREATE TABLE product (id bigserial PRIMARY KEY, name text NOT NULL, story text NOT NULL);
CREATE TABLE purchase (
    id bigserial PRIMARY KEY, customer_id bigint NOT NULL REFERENCES customer, state text NOT NULL, note text NOT NULL
);
CREATE TABLE line (
    id bigserial PRIMARY KEY, purchase_id bigint NOT NULL REFERENCES purchase,
    product_id bigint NOT NULL REFERENCES product, amount integer NOT NULL
);
CREATE TABLE invoice (id bigserial PRIMARY KEY, purchase_id bigint NOT NULL UNIQUE REFERENCES purchase, number text);
CREATE TABLE review (
    id bigserial PRIMARY KEY, product_id bigint NOT NULL REFERENCES product, stars integer NOT NULL, day date NOT NULL
);
CREATE TABLE tag (id bigserial PRIMARY KEY, name text NOT NULL);
CREATE TABLE product_tags (
    id bigserial PRIMARY KEY, product_id bigint NOT NULL REFERENCES product, tag_id bigint NOT NULL REFERENCES tag
);
CREATE TABLE event (id bigserial PRIMARY KEY, name text NOT NULL);
CREATE TABLE job (id bigserial PRIMARY KEY, state text NOT NULL, looks integer NOT NULL);

INSERT INTO customer (name) SELECT 'customer ' || n FROM generate_series(1, 20) AS n;
INSERT INTO product (name, story) SELECT 'product ' || n, repeat('story ', 5) FROM generate_series(1, 60) AS n;
INSERT INTO purchase (customer_id, state, note) SELECT n, 'paid', 'note ' || n FROM generate_series(1, 20) AS n;
INSERT INTO line (purchase_id, product_id, amount) SELECT 1 + (n - 1) / 3, n, n % 5 + 1 FROM generate_series(1, 60) AS n;
INSERT INTO invoice (purchase_id, number) SELECT n, 'R' || n FROM generate_series(1, 20) AS n;
INSERT INTO review (product_id, stars, day)
    SELECT 1 + n % 60, n % 5 + 1, date '2026-01-01' + n FROM generate_series(1, 120) AS n;
INSERT INTO tag (name) SELECT 'tag ' || n FROM generate_series(1, 10) AS n;
INSERT INTO product_tags (product_id, tag_id) SELECT 1 + n % 60, 1 + n % 10 FROM generate_series(1, 120) AS n;
INSERT INTO event (name) SELECT 'event ' || n FROM generate_series(1, 500) AS n;
INSERT INTO job (state, looks) VALUES ('running', 0);
