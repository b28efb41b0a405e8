CREATE TABLE yard_crews(id TEXT PRIMARY KEY NOT NULL, name TEXT, code TEXT, jobs DOUBLE, hours DOUBLE);
CREATE TABLE yard_jobs(id TEXT PRIMARY KEY NOT NULL, title TEXT, crew TEXT, region TEXT, hours DOUBLE, state TEXT, code TEXT UNIQUE,
    card TEXT, secret TEXT, due DATE_TEXT, ready BOOLEAN_INT, size INT4, fixed TEXT, sealed TEXT);
CREATE TABLE yard_steps(id TEXT PRIMARY KEY NOT NULL, job TEXT, words TEXT);
CREATE TABLE yard_notes(id TEXT PRIMARY KEY NOT NULL, job TEXT, words TEXT);
CREATE TABLE yard_bills(id TEXT PRIMARY KEY NOT NULL, job TEXT);
CREATE TABLE yard_tokens(id TEXT PRIMARY KEY NOT NULL, number TEXT UNIQUE, words TEXT);
INSERT INTO yard_crews VALUES ('c1', 'North', 'N', 2, 8), ('c2', 'South', 'S', 1, 0);
INSERT INTO yard_jobs VALUES
    ('j1', 'roof', 'c1', 'eu', 5, 'open', 'k1', '4111111111111111', 's1', '2026-01-01', 1, 3, 'f1', 'x1'),
    ('j2', 'wall', 'c1', 'us', 3, 'done', 'k2', '5500000000000004', 's2', '2026-02-02', 0, 5, 'f2', 'x2'),
    ('j3', 'door', 'c2', 'eu', NULL, 'open', 'k3', NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO yard_steps VALUES ('s1', 'j1', 'dig'), ('s2', 'j1', 'lift'), ('s3', 'j2', 'paint');
INSERT INTO yard_notes VALUES ('n1', 'j1', 'hot'), ('n2', 'j2', 'cold'), ('n3', NULL, NULL);
INSERT INTO yard_bills VALUES ('b1', 'j2');
INSERT INTO yard_tokens VALUES ('t1', 'T-001', 'first'), ('t7', 'T-007', 'seventh');
