//! Who may call, what it costs, and what is left: companies, SIP profiles, credit, minute bundles and channels, with
//! the rules by which they change and the database that keeps them.
//!
//! # Contents
//! | module | subject | pure |
//! | --- | --- | --- |
//! | [`money`] | [`Micros`](money::Micros): amounts in millionths, exact | yes |
//! | [`model`] | the nouns: company, profile, number, business account, carrier, and their settings | yes |
//! | [`secrets`] | generated passwords and SIP users; the vault that seals them | yes |
//! | [`rating`] | rate table from CSV, longest prefix, the US bundles' reach, the arithmetic of a charge | yes |
//! | [`lifecycle`] | what a subscription costs, is worth, how it goes on; what falls due, and when | yes |
//! | [`ledger`] | accounts, transfers, a call's way (reserve, answer, extend, settle), the spend guard | yes |
//! | [`cdr`] | the record of every attempt, and filters over records | yes |
//! | [`standby`] | what calls are granted from while the database does not answer | yes |
//! | [`memory`] | the whole ledger on maps: the tests' oracle, the simulation's store | yes |
//! | [`reports`] | a month of a profile or a company, as JSON and CSV | yes |
//! | [`sizing`] | how many channels an office needs | yes |
//! | [`registrations`], [`directory`] | rows that the daemon loads | yes |
//! | [`balances`] | what each profile has left, for metrics | yes |
//! | [`moving`] | the move of a store from SQLite to PostgreSQL | no |
//! | [`pages`] | parts of long lists, and filters over them | yes |
//! | [`quotas`] | how many of each thing a company may create by itself | yes |
//! | [`tokens`] | who may use the HTTP API | yes |
//! | [`audit`] | who changed what; written with every change | yes |
//! | [`things`] | what can be changed, and the versions that a change may be conditional on | yes |
//! | [`answers`] | requests that are done once, however often they are sent | yes |
//! | [`store`] | everything the daemon and the command line ask for, in verbs, on SQLite or PostgreSQL | no |
//! | `sql` | the statements behind those verbs, and the ledger rows kept between batches | no |
//! | [`journal`] | the file that keeps an outage's entries until the database has them | no |
//! | [`private`] | files that only their owner may read | no |
//! | [`writer`] | shares one commit among operations that arrive together | no |
//! | [`error`] | what can go wrong, by who is to blame | yes |
//!
//! # Words
//! - A **reservation** is a live call: its channel and the money and minutes it holds. The channels in use *are* the
//!   set of reservations; there is no counter that could drift.
//! - **Paid seconds** count from the answer. A [`Grant`](ledger::Grant) says how many a call has; when they end and
//!   [`Extend`](ledger::LedgerOp::Extend) gives no more, the call ends.
//! - A **transfer** moves an amount from one account to another and is never changed. Balances are sums of transfers,
//!   which [`Store::verify`](store::Store::verify) proves.
//! - What is **on hand** of a profile's credit is reserved for no call yet: the gateway grants from it while the database
//!   does not answer, and the database adopts the grants afterwards.
//! - The **proved** second is the last one that a running call was known to be alive in; after a crash it is charged
//!   up to there.
//! - A **spend guard** limits what a profile's calls may cost in an hour and a day, whom they may reach and how long
//!   they may last. What is **committed** of a cap is what was charged in its window and what live calls hold.
//! - The **revision** goes up with every change of what calls are decided by.
//!
//! # How the ledger writes
//! A batch of operations is one transaction. The pure rules decide the operations in order on the rows that the batch
//! touches. Those rows are read once and then kept from batch to batch: a batch reads again only what it does not know yet,
//! or everything after another process has written. Differences are written under conditions, so the write is the check.
//! One set of rules thus serves the database, the tests and the simulation. A batch costs one script of statements and one
//! sync of the disk, however many operations it has.
//!
//! # What it does not do
//! - It knows no SIP and no media, reads no clock (but for the pace of the [`writer`]) and starts no task but the
//!   [`writer`]'s: times are arguments.
//! - It does not normalise dialled numbers, choose carriers or know emergency numbers; it rates E.164 numbers.
//! - It does not keep the secret key; the caller reads it from wherever it is kept outside the database.
//! - It does nothing by itself when something falls due: [`Store::do_due`](store::Store::do_due) is called for that.
//! - It trusts no balance in memory alone: while the database answers, a decision stands only if the transaction that
//!   writes it finds the rows as they were known. What is on hand decides while the database does not answer.

pub mod answers;
pub mod audit;
pub mod balances;
pub mod cdr;
pub mod directory;
pub mod error;
pub mod journal;
pub mod ledger;
pub mod lifecycle;
pub mod memory;
pub mod model;
pub mod money;
pub mod moving;
pub mod pages;
pub mod private;
pub mod quotas;
pub mod rating;
pub mod registrations;
pub mod reports;
pub mod secrets;
pub mod sizing;
mod sql;
pub mod standby;
pub mod store;
pub mod text;
pub mod things;
pub mod tokens;
pub mod writer;
