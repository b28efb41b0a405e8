//! The made-up trade that the servers hold parts of: the same rows at each start, and who may see which. Knows no server.

use crate::demo::company::{COMPANY_HEADS, COMPANY_TAILS, FIRST_NAMES, LAST_NAMES, REGIONS, ascii, day, days, iso_day};
use crate::demo::rng::Rng;
use std::fmt::Write as _;

const SEED: u64 = 0x51_75_65_72_79_67_61_03;
const CUSTOMERS: u32 = 2_000;
const PRODUCTS: u32 = 200;
const ORDERS: u32 = 20_000;

const CATEGORIES: [&str; 5] = ["machines", "tools", "parts", "safety", "office"];
const KINDS: [&str; 5] = ["Lathe", "Drill", "Bearing", "Helmet", "Desk"];
const CARRIERS: [&str; 4] = ["Northline", "Parcelo", "Rail4U", "Skyfreight"];
const CHANNELS: [&str; 3] = ["web", "phone", "mail"];
const WORDS: [&str; 5] = ["as promised", "came late", "box was open", "would buy again", "wrong size"];

/// Tables that a server is loaded with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    Customers,
    Orders,
    Products,
    Reviews,
    Shipments,
}

#[derive(Debug)]
pub(super) struct Customer {
    pub(super) name: String,
    pub(super) email: String,
    /// Index into [`REGIONS`].
    region: usize,
}

#[derive(Debug)]
pub(super) struct Product {
    pub(super) title: String,
    category: usize,
    public: bool,
    cost: u32,
}

#[derive(Debug)]
pub(super) struct Order {
    customer: u32,
    product: u32,
    /// Hundredths.
    pub(super) amount: u32,
    /// Days since 1970.
    pub(super) day: i32,
    pub(super) carrier: &'static str,
    pub(super) days_late: i32,
    /// What the customer thought of it, from 1 to 5.
    pub(super) stars: u32,
    channel: &'static str,
    words: &'static str,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Trade {
    pub(super) customers: Vec<Customer>,
    pub(super) products: Vec<Product>,
    pub(super) orders: Vec<Order>,
}

impl Trade {
    pub(super) fn made() -> Self {
        let mut rng = Rng::new(SEED);
        let customers = (0..CUSTOMERS).map(|number| customer(&mut rng, number)).collect();
        let products = (0..PRODUCTS).map(|number| product(&mut rng, number)).collect();
        let orders = (0..ORDERS).map(|_| order(&mut rng)).collect();
        Self { customers, products, orders }
    }

    pub(super) fn customer(&self, order: &Order) -> &Customer {
        &self.customers[order.customer as usize]
    }

    pub(super) fn product(&self, order: &Order) -> &Product {
        &self.products[order.product as usize]
    }

    pub(super) fn region(&self, order: &Order) -> &'static str {
        REGIONS[self.customer(order).region]
    }

    pub(super) fn order_id(number: u32) -> String {
        format!("O{:05}", number + 1)
    }

    /// Rows of the tables that these parts are loaded with.
    pub(super) fn rows(&self, parts: &[super::Part]) -> usize {
        let rows = |table: &Table| match table {
            Table::Customers => self.customers.len(),
            Table::Products => self.products.len(),
            Table::Orders | Table::Reviews | Table::Shipments => self.orders.len(),
        };
        parts.iter().flat_map(|part| part.loads).map(rows).sum()
    }

    /// A table as lines of cells apart by tabs, which all of the servers read. No cell has one, or a backslash.
    pub(super) fn lines(&self, table: Table) -> String {
        let mut text = String::new();
        match table {
            Table::Customers => {
                for (number, customer) in (1..).zip(&self.customers) {
                    let Customer { name, email, region } = customer;
                    let _ = writeln!(text, "C{number:04}\t{name}\t{email}\t{}", REGIONS[*region]);
                }
            }
            Table::Products => {
                for (number, product) in (1..).zip(&self.products) {
                    let category = CATEGORIES[product.category];
                    let audience = if product.public { "public" } else { "wholesale" };
                    let cost = money(product.cost);
                    let _ = writeln!(text, "P{number:03}\t{}\t{category}\t{audience}\t{cost}", product.title);
                }
            }
            Table::Orders => {
                for (number, order) in (0..).zip(&self.orders) {
                    let (id, customer, product) = (Self::order_id(number), order.customer + 1, order.product + 1);
                    let (region, amount, day) = (self.region(order), money(order.amount), iso_day(order.day));
                    let _ = writeln!(text, "{id}\tC{customer:04}\tP{product:03}\t{region}\t{amount}\t{day}");
                }
            }
            Table::Reviews => {
                for (number, order) in (0..).zip(&self.orders) {
                    let (id, region) = (Self::order_id(number), self.region(order));
                    let Order { stars, channel, words, .. } = order;
                    let _ = writeln!(text, "R{:05}\t{id}\t{region}\t{stars}\t{channel}\t{words}", number + 1);
                }
            }
            Table::Shipments => {
                for (number, order) in (0..).zip(&self.orders) {
                    let (id, region, shipped) = (Self::order_id(number), self.region(order), iso_day(order.day + 2));
                    let _ = writeln!(text, "{id}\t{region}\t{}\t{shipped}\t{}", order.carrier, order.days_late);
                }
            }
        }
        text
    }
}

impl Product {
    pub(super) fn is_machine(&self) -> bool {
        self.category == 0
    }

    pub(super) fn is_public(&self) -> bool {
        self.public
    }
}

/// An amount in hundredths, as the servers print it.
pub(super) fn money(hundredths: u32) -> String {
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

fn customer(rng: &mut Rng, number: u32) -> Customer {
    let company = format!("{} {}", rng.pick(&COMPANY_HEADS), rng.pick(&COMPANY_TAILS));
    let (first, last) = (rng.pick(&FIRST_NAMES), rng.pick(&LAST_NAMES));
    let email = format!("{}.{}{}@example.com", ascii(first), ascii(last), number + 1);
    let region = match rng.below(100) {
        0..35 => 0,
        35..75 => 1,
        75..93 => 2,
        _ => 3,
    };
    Customer { name: company, email, region }
}

fn product(rng: &mut Rng, number: u32) -> Product {
    let category = rng.below(5) as usize;
    let title = format!("{} {}", KINDS[category], 100 + number);
    Product { title, category, public: rng.chance(80), cost: rng.between(500, 60_000) }
}

fn order(rng: &mut Rng) -> Order {
    Order {
        customer: rng.below(CUSTOMERS),
        product: rng.below(PRODUCTS),
        amount: rng.between(500, 100_000),
        day: day(rng, days::FIRST, days::LAST),
        carrier: rng.pick(&CARRIERS),
        days_late: i32::try_from(rng.below(25)).unwrap_or(0).saturating_sub(12).max(0),
        stars: rng.between(1, 5),
        channel: rng.pick(&CHANNELS),
        words: rng.pick(&WORDS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_rows_are_made_each_time_and_every_server_can_read_them() {
        let (one, two) = (Trade::made(), Trade::made());
        let tables = [
            (Table::Customers, 4),
            (Table::Products, 5),
            (Table::Orders, 6),
            (Table::Reviews, 6),
            (Table::Shipments, 5),
        ];
        for (table, columns) in tables {
            let lines = one.lines(table);
            assert_eq!(lines, two.lines(table));
            assert!(lines.lines().all(|line| line.split('\t').count() == columns), "{table:?}");
            assert!(!lines.contains(['\\', '\'', '"']), "{table:?}");
        }
        assert_eq!(money(90_005), "900.05");
    }
}
