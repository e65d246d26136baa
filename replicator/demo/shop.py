"""The demo's shop: five tables, the writer that keeps them busy, and what both ends must agree on."""

from __future__ import annotations

import json
import random
import threading
from dataclasses import dataclass

import psycopg2
from psycopg2.extensions import cursor as Cursor

SCHEMA = """
CREATE TYPE order_status AS ENUM ('new', 'paid', 'sent', 'returned');
CREATE TABLE customers (
    id bigint PRIMARY KEY, email text NOT NULL UNIQUE, name text NOT NULL, tags text[] NOT NULL DEFAULT '{}',
    settings jsonb NOT NULL DEFAULT '{}', joined_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE products (
    sku text PRIMARY KEY, title text NOT NULL, price numeric(10, 2) NOT NULL, stock integer NOT NULL,
    picture bytea, discontinued boolean NOT NULL DEFAULT false);
CREATE TABLE orders (
    id bigint PRIMARY KEY, customer_id bigint NOT NULL REFERENCES customers ON DELETE CASCADE,
    status order_status NOT NULL DEFAULT 'new', placed_at timestamptz NOT NULL DEFAULT clock_timestamp(), note text);
CREATE TABLE order_items (
    order_id bigint NOT NULL REFERENCES orders ON DELETE CASCADE, line integer NOT NULL,
    sku text NOT NULL REFERENCES products ON UPDATE CASCADE, quantity integer NOT NULL, price numeric(10, 2) NOT NULL,
    PRIMARY KEY (order_id, line));
CREATE TABLE payments (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), order_id bigint NOT NULL REFERENCES orders ON DELETE CASCADE,
    amount numeric(12, 2) NOT NULL, took interval NOT NULL, receipt jsonb, paid_at timestamptz NOT NULL);
"""
FILL = """
INSERT INTO customers SELECT g, 'customer' || g || '@example.org', 'Customer ' || g,
    ARRAY['tag ' || g % 7, NULL, 'a "quoted" one'], jsonb_build_object('n', g, 'letters', g % 2 = 0)
    FROM generate_series(1, 2000) g;
INSERT INTO products SELECT 'sku-' || g, 'Product ' || g, (g * 1.37)::numeric(10, 2), 100000,
    decode(md5(g::text), 'hex') FROM generate_series(1, 500) g;
INSERT INTO orders SELECT g, 1 + g % 2000, 'paid', now() - g * interval '1 minute' FROM generate_series(1, 10000) g;
INSERT INTO order_items SELECT g, l, 'sku-' || 1 + (g * 7 + l) % 500, l, (l * 3.5)::numeric(10, 2)
    FROM generate_series(1, 10000) g, generate_series(1, 3) l;
INSERT INTO payments (order_id, amount, took, receipt, paid_at)
    SELECT g, g * 0.5, g * interval '1 second', '{"method": "card"}', now() FROM generate_series(1, 10000) g;
"""


@dataclass(frozen=True)
class Check:
    """The same rows, asked of each end in its own words."""

    table: str
    postgres: str
    sqlite: str


_UTC = "regexp_replace({0}::text, '\\+00$', 'Z')"
CHECKS = (
    Check(
        "customers",
        f"SELECT id, email, name, array_to_json(tags)::text, settings::text, {_UTC.format('joined_at')} "
        "FROM customers ORDER BY id",
        "SELECT id, email, name, tags, settings, joined_at FROM customers ORDER BY id",
    ),
    Check(
        "products",
        "SELECT sku, title, price::text, stock, encode(picture, 'hex'), discontinued::int "
        'FROM products ORDER BY sku COLLATE "C"',
        "SELECT sku, title, price, stock, lower(hex(picture)), discontinued FROM products ORDER BY sku",
    ),
    Check(
        "orders",
        f"SELECT id, customer_id, status::text, {_UTC.format('placed_at')}, note FROM orders ORDER BY id",
        "SELECT id, customer_id, status, placed_at, note FROM orders ORDER BY id",
    ),
    Check(
        "order_items",
        "SELECT order_id, line, sku, quantity, price::text FROM order_items ORDER BY order_id, line",
        "SELECT order_id, line, sku, quantity, price FROM order_items ORDER BY order_id, line",
    ),
    Check(
        "payments",
        f"SELECT id::text, order_id, amount::text, took::text, receipt::text, {_UTC.format('paid_at')} "
        'FROM payments ORDER BY id::text COLLATE "C"',
        "SELECT id, order_id, amount, took, receipt, paid_at FROM payments ORDER BY id",
    ),
)


class Writer(threading.Thread):
    """Customers come, order, pay, change their minds and go, in transactions of a few rows."""

    def __init__(self, url: str) -> None:
        super().__init__(name="writer", daemon=True)
        self._url = url
        self._ending = threading.Event()
        self._random = random.Random(7)
        self._last_order = 10_000
        self.transactions = 0

    def run(self) -> None:
        connection = psycopg2.connect(self._url)
        try:
            while not self._ending.wait(0.002):
                with connection, connection.cursor() as cursor:
                    self._random.choice((self._order, self._order, self._pay, self._reprice, self._change, self._go))(
                        cursor
                    )
                self.transactions += 1
        finally:
            connection.close()

    def end(self) -> None:
        self._ending.set()
        self.join()

    def _order(self, cursor: Cursor) -> None:
        self._last_order += 1
        order = self._last_order
        cursor.execute(
            "INSERT INTO orders (id, customer_id, note) SELECT %s, id, %s FROM customers "
            "WHERE id >= %s ORDER BY id LIMIT 1",
            (order, self._random.choice((None, "leave at the door", "x" * 5000)), self._random.randrange(1, 1900)),
        )
        for line in range(1, self._random.randrange(2, 5)):
            cursor.execute(
                "INSERT INTO order_items SELECT %s, %s, sku, %s, price FROM products OFFSET %s LIMIT 1",
                (order, line, self._random.randrange(1, 9), self._random.randrange(0, 499)),
            )

    def _pay(self, cursor: Cursor) -> None:
        cursor.execute(
            "UPDATE orders SET status = 'paid' "
            "WHERE id = (SELECT max(id) FROM orders WHERE status = 'new') RETURNING id"
        )
        for (order,) in cursor.fetchall():
            cursor.execute(
                "INSERT INTO payments (order_id, amount, took, receipt, paid_at) "
                "VALUES (%s, %s, make_interval(secs => %s), %s, clock_timestamp())",
                (order, self._random.randrange(100, 99999) / 100, self._random.random(), json.dumps({"ok": True})),
            )

    def _reprice(self, cursor: Cursor) -> None:
        cursor.execute(
            "UPDATE products SET price = price * 1.01, stock = stock - 1 WHERE sku = %s",
            (f"sku-{self._random.randrange(1, 501)}",),
        )

    def _change(self, cursor: Cursor) -> None:
        cursor.execute(
            "UPDATE customers SET settings = settings || %s, tags = tags || %s WHERE id = %s",
            (json.dumps({"seen": self.transactions}), ["again"], self._random.randrange(1, 2001)),
        )

    def _go(self, cursor: Cursor) -> None:
        cursor.execute("DELETE FROM orders WHERE id = %s", (self._random.randrange(1, self._last_order),))
