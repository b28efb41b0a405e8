CREATE TABLE customer (id int AUTO_INCREMENT PRIMARY KEY, name varchar(20) NOT NULL);
CREATE TABLE ticket (
    id bigint AUTO_INCREMENT PRIMARY KEY,
    customer int,
    title varchar(12) COLLATE utf8mb4_nopad_bin NOT NULL,
    code varchar(40) COLLATE utf8mb4_nopad_bin,
    amount decimal(10,2),
    ratio double,
    seen timestamp(6) NOT NULL DEFAULT '2026-01-02 03:04:05',
    due date,
    clock varchar(20),
    token varchar(36),
    done boolean NOT NULL DEFAULT false,
    region varchar(10) COLLATE utf8mb4_nopad_bin NOT NULL,
    CONSTRAINT secret_code UNIQUE (code),
    CONSTRAINT secret_amount CHECK (amount < 500),
    FOREIGN KEY (customer) REFERENCES customer (id)
) CHARACTER SET utf8mb4;
CREATE TABLE keyless (note varchar(10));
CREATE TRIGGER moved BEFORE INSERT ON ticket FOR EACH ROW SET NEW.region = IF(NEW.title = 'move me', 'us', NEW.region);
CREATE TRIGGER moved_again BEFORE UPDATE ON ticket FOR EACH ROW SET NEW.region = IF(NEW.title = 'move me', 'us', NEW.region);
INSERT INTO customer (name) VALUES ('ann'), ('bob');
SET time_zone = '+00:00';
INSERT INTO ticket (customer, title, code, region) VALUES (1, 'hidden', 'taken', 'us');
