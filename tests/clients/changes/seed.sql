INSERT INTO customer (name) VALUES ('Ann'), ('Bob');
INSERT INTO ticket (customer_id, title, code, amount, region) VALUES (1, 'hidden', 'taken', 1.00, 'us');
INSERT INTO ticket (customer_id, title, code, amount, region) VALUES (1, 'first', 'one', 10.00, 'eu'), (2, 'second', 'two', 20.00, 'eu');
