-- Two years of a growing shop, made inside the database and the same every time: chance is a hash of the row number.
-- Sizes come from settings, each with a default (shop.orders, shop.customers, shop.products, shop.today):
--     SET shop.orders = '2000';

-- Stage: sizes
CREATE TEMPORARY TABLE sizes AS
SELECT coalesce(nullif(current_setting('shop.orders', true), '')::bigint, 1000000) AS orders,
       coalesce(nullif(current_setting('shop.customers', true), '')::bigint, 50000) AS customers,
       coalesce(nullif(current_setting('shop.products', true), '')::bigint, 5000) AS products,
       coalesce(nullif(current_setting('shop.today', true), '')::date, current_date)::timestamp AT TIME ZONE 'UTC' AS today;

-- Uniform in [0, 1); each salt is a stream of its own.
CREATE FUNCTION pg_temp.draw(number bigint, salt bigint) RETURNS double precision LANGUAGE sql IMMUTABLE AS
$$ SELECT (hashint8extended(number, salt) & 1073741823) / 1073741824.0::double precision $$;

CREATE FUNCTION pg_temp.pick(choices text[], chance double precision) RETURNS text LANGUAGE sql IMMUTABLE AS
$$ SELECT choices[1 + floor(chance * array_length(choices, 1))::integer] $$;

-- Squaring the draw makes low numbers frequent: customer 1 placed thousands of orders, most others ten to thirty.
CREATE FUNCTION pg_temp.skewed(number bigint, salt bigint, size bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS
$$ SELECT 1 + floor(size * power(pg_temp.draw(number, salt), 2))::bigint $$;

-- A price hangs on the product's number alone, so that an order's total needs no join.
CREATE FUNCTION pg_temp.price(product_id bigint) RETURNS numeric LANGUAGE sql IMMUTABLE AS
$$ SELECT ((product_id * 7919) % 9500 + 495) / 100.0 $$;

CREATE FUNCTION pg_temp.quantity(order_id bigint, line bigint) RETURNS integer LANGUAGE sql IMMUTABLE AS
$$ SELECT 1 + floor(3 * power(pg_temp.draw(order_id, 60 + line), 3))::integer $$;

CREATE FUNCTION pg_temp.has_second_line(order_id bigint) RETURNS boolean LANGUAGE sql IMMUTABLE AS
$$ SELECT pg_temp.draw(order_id, 40) < 0.25 $$;

CREATE FUNCTION pg_temp.name_of(customer_id bigint) RETURNS text LANGUAGE sql IMMUTABLE AS
$$ SELECT pg_temp.pick('{Ada,Bea,Carl,Dora,Emil,Fay,Gus,Hana,Ivo,Jun,Kai,Lea,Max,Nora,Otto,Pia,Quin,Rosa,Sam,Tara}',
                       pg_temp.draw(customer_id, 10))
       || ' ' || pg_temp.pick('{Abel,Berg,Cruz,Diaz,Eck,Falk,Gray,Holm,Imai,Jung,Kern,Lund,Mora,Nash,Oda,Park,Reyes,Stone}',
                              pg_temp.draw(customer_id, 11)) $$;

CREATE FUNCTION pg_temp.street_of(customer_id bigint) RETURNS text LANGUAGE sql IMMUTABLE AS
$$ SELECT pg_temp.pick('{Birch Lane,Mill Road,Station Street,Harbour Quay,Church Hill,Orchard Way,Bridge Street,Park Row}',
                       pg_temp.draw(customer_id, 12)) || ' ' || (1 + floor(180 * pg_temp.draw(customer_id, 13)))::text $$;

CREATE FUNCTION pg_temp.postcode_of(customer_id bigint) RETURNS text LANGUAGE sql IMMUTABLE AS
$$ SELECT lpad(floor(100000 * pg_temp.draw(customer_id, 14))::integer::text, 5, '0') $$;

CREATE FUNCTION pg_temp.city_of(customer_id bigint) RETURNS text LANGUAGE sql IMMUTABLE AS
$$ SELECT pg_temp.pick('{Aarhus,Bergen,Bologna,Bremen,Gent,Girona,Graz,Leipzig,Lille,Porto,Tartu,Utrecht}',
                       pg_temp.draw(customer_id, 15)) $$;

CREATE FUNCTION pg_temp.country_of(customer_id bigint) RETURNS text LANGUAGE sql IMMUTABLE AS
$$ SELECT pg_temp.pick('{DK,NO,IT,DE,BE,ES,AT,DE,FR,PT,EE,NL}', pg_temp.draw(customer_id, 15)) $$;

-- Stage: products
INSERT INTO products (id, name, category, description, price, stock, created_at)
SELECT number,
       pg_temp.pick('{Plain,Sturdy,Folding,Small,Large,Slim,Round,Classic,Double,Light,Heavy,Everyday}', pg_temp.draw(number, 1))
           || ' ' || pg_temp.pick('{oak,steel,linen,wool,glass,copper,walnut,cotton,stone,cork}', pg_temp.draw(number, 2))
           || ' ' || pg_temp.pick('{lamp,chair,bowl,kettle,blanket,shelf,clock,basket,mirror,jug,tray,stool}', pg_temp.draw(number, 3))
           || ' No. ' || number,
       pg_temp.pick('{bathroom,bedroom,garden,hall,kitchen,lighting,living,office,storage,table,textiles,workshop}',
                    pg_temp.draw(number, 4)),
       'Made to be used every day and to be mended when it wears. Ships within two working days, in plain paper.',
       pg_temp.price(number),
       2000 + floor(8000 * pg_temp.draw(number, 5))::integer,
       today - interval '3 years' * (1 - number::double precision / products)
FROM sizes, generate_series(1, products) AS number;

-- Stage: customers
INSERT INTO customers (id, email, name, street, postcode, city, country, created_at)
SELECT number, 'customer' || number || '@example.org', pg_temp.name_of(number), pg_temp.street_of(number),
       pg_temp.postcode_of(number), pg_temp.city_of(number), pg_temp.country_of(number),
       today - interval '3 years' * pg_temp.draw(number, 17)
FROM sizes, generate_series(1, customers) AS number;
ALTER TABLE customers ADD PRIMARY KEY (id);

-- Stage: reviews
INSERT INTO reviews (id, product_id, customer_id, stars, body, created_at)
SELECT number,
       1 + floor(products * pg_temp.draw(number, 50))::bigint,
       pg_temp.skewed(number, 51, customers),
       5 - floor(5 * power(pg_temp.draw(number, 52), 2))::integer,
       pg_temp.pick(ARRAY['Just what I hoped for.', 'Good, though smaller than I had thought.', 'Came quickly and well packed.',
                          'A gift; she loves it.', 'Had to be exchanged once, all friendly.', 'Looks better than in the picture.'],
                    pg_temp.draw(number, 53)),
       today - interval '2 years' * pg_temp.draw(number, 54)
FROM sizes, generate_series(1, products * 5) AS number;

-- Stage: orders
INSERT INTO orders (id, status, currency, total, payment, customer_id, created_at, shipped_at,
                    ship_to, street, postcode, city, country, email, tracking_code, note)
SELECT number,
       CASE WHEN number > orders * 0.995 THEN 'paid'
            WHEN number > orders * 0.98 THEN 'shipped'
            WHEN pg_temp.draw(number, 21) < 0.03 THEN 'returned'
            ELSE 'delivered' END,
       'EUR',
       pg_temp.quantity(number, 1) * pg_temp.price(pg_temp.skewed(number, 31, products))
           + CASE WHEN pg_temp.has_second_line(number)
                  THEN pg_temp.quantity(number, 2) * pg_temp.price(pg_temp.skewed(number, 32, products))
                  ELSE 0 END,
       'pay_' || to_hex(hashint8extended(number, 25)) || to_hex(hashint8extended(number, 26)),
       customer_id,
       placed.created_at,
       CASE WHEN number <= orders * 0.995 THEN placed.created_at + interval '2 days' * pg_temp.draw(number, 24) END,
       customers.name, customers.street, customers.postcode, customers.city, customers.country, customers.email,
       CASE WHEN number <= orders * 0.995 THEN upper(to_hex(hashint8extended(number, 27))) END,
       CASE WHEN pg_temp.draw(number, 22) < 0.15
            THEN pg_temp.pick(ARRAY['Please ring twice.', 'Leave it with the neighbour on the ground floor.', 'Gift wrap, please.',
                                    'Only after five in the afternoon.'], pg_temp.draw(number, 23)) END
FROM (
    -- OFFSET 0 has these worked out once for each order instead of once for each column.
    SELECT sizes.*, number, pg_temp.skewed(number, 20, customers) AS customer_id,
           -- Later orders lie closer together: the shop grows.
           today - interval '2 years' * power(1 - number::double precision / orders, 1.2) AS created_at
    FROM sizes, generate_series(1, orders) AS number
    OFFSET 0
) AS placed,
-- Looked up one by one, so that orders lie in the order in which they were placed and not by customer.
LATERAL (
    SELECT name, street, postcode, city, country, email FROM customers WHERE customers.id = placed.customer_id OFFSET 0
) AS customers;

-- Stage: order lines
-- Of the newest quarter of the orders; the lines of older ones have been archived.
INSERT INTO order_lines (order_id, position, product_id, quantity, unit_price)
SELECT number, line, product_id, pg_temp.quantity(number, line), pg_temp.price(product_id)
FROM (
    SELECT number, line, pg_temp.skewed(number, 30 + line, products) AS product_id
    FROM sizes, generate_series(orders - orders / 4 + 1, orders) AS number,
         LATERAL generate_series(1, CASE WHEN pg_temp.has_second_line(number) THEN 2 ELSE 1 END) AS line
    OFFSET 0
) AS bought;

-- Stage: sequences
SELECT setval(pg_get_serial_sequence('products', 'id'), (SELECT products FROM sizes)),
       setval(pg_get_serial_sequence('customers', 'id'), (SELECT customers FROM sizes)),
       setval(pg_get_serial_sequence('reviews', 'id'), (SELECT products * 5 FROM sizes)),
       setval(pg_get_serial_sequence('orders', 'id'), (SELECT orders FROM sizes));
DROP TABLE sizes;
