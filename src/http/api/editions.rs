//! Rate decks: imported, looked at before, and taken back.

use axum::Json;
use provisioning_store::model::Timestamp;
use provisioning_store::rating::{Changes, Counts, DestinationChange, Edition, EditionId, EditionState};
use provisioning_store::store::{DeckOrder, Imported};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Answer;
use super::body::{Path, Query};
use super::caller::Caller;
use super::deck::Deck;
use super::money::{Amount, Moment};
use super::openapi::Conflict;
use super::rates::list;
use super::status::TAG;
use crate::storage;

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(import_rates))
        .routes(routes!(show_import))
        .routes(routes!(list_price_lists))
        .routes(routes!(undo_import))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ImportQuery {
    /// Into this price list, which is made if it is not there; the standard one if it is left out.
    price_list: Option<String>,
    /// In force from this moment on; at once if it is left out or over.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Moment>,
    /// With true nothing is changed: it is said what would be.
    #[serde(default)]
    dry_run: bool,
}

/// How many prefixes change in which way.
#[derive(Serialize, ToSchema)]
#[schema(as = RateCounts)]
struct CountsView {
    /// Prefixes that were not there before.
    new: u64,
    /// Prefixes that are there no more.
    gone: u64,
    /// Prefixes at which a call of a minute costs more.
    dearer: u64,
    /// Prefixes at which it costs less.
    cheaper: u64,
    /// Prefixes at which nothing changes.
    unchanged: u64,
}

impl From<Counts> for CountsView {
    fn from(counts: Counts) -> Self {
        let Counts { new, gone, dearer, cheaper, unchanged } = counts;
        Self { new, gone, dearer, cheaper, unchanged }
    }
}

/// What changes for a destination.
#[derive(Serialize, ToSchema)]
#[schema(as = DestinationChange)]
struct DestinationView {
    /// Its name.
    destination: String,
    prefixes: CountsView,
    /// The highest rate a minute before; null if the destination is new.
    highest_before: Option<Amount>,
    /// The highest rate a minute afterwards; null if the destination is gone.
    highest_after: Option<Amount>,
}

impl From<DestinationChange> for DestinationView {
    fn from(change: DestinationChange) -> Self {
        Self {
            destination: change.destination,
            prefixes: change.counts.into(),
            highest_before: change.highest_before.map(Amount),
            highest_after: change.highest_after.map(Amount),
        }
    }
}

/// What changes against the rates that would be in force without the deck.
#[derive(Serialize, ToSchema)]
#[schema(as = RateChanges)]
struct ChangesView {
    prefixes: CountsView,
    /// Destinations of which something changes, those with the most changed prefixes first; 1,000 at most.
    destinations: Vec<DestinationView>,
    /// How many such destinations there are.
    destinations_total: u64,
}

impl From<Changes> for ChangesView {
    fn from(changes: Changes) -> Self {
        Self {
            prefixes: changes.counts.into(),
            destinations: changes.destinations.into_iter().map(DestinationView::from).collect(),
            destinations_total: changes.destinations_total,
        }
    }
}

/// What was imported, or would be.
#[derive(Serialize, ToSchema)]
#[schema(as = Imported)]
struct ImportedView {
    /// Number of the new edition; null if the deck was only looked at.
    edition: Option<i64>,
    price_list: String,
    /// How many rates the deck has.
    rates: u64,
    /// The layout that its heading has: `sipgw`, `ASTPP`, `MagnusBilling`, `Twilio`, `Telnyx`, `TelecomsXChange` or `A-Z`.
    #[schema(example = "sipgw")]
    layout: &'static str,
    /// Columns that mean nothing here.
    columns_left_out: Vec<String>,
    /// Lines that hold for some callers only, or are barred or withdrawn.
    lines_left_out: u64,
    changes: ChangesView,
}

impl ImportedView {
    fn of(imported: Imported, price_list: String) -> Self {
        Self {
            edition: imported.edition.map(|edition| edition.0),
            price_list,
            rates: imported.deck.rates,
            layout: imported.deck.layout,
            columns_left_out: imported.deck.columns_left_out,
            lines_left_out: imported.deck.lines_left_out,
            changes: imported.changes.into(),
        }
    }
}

/// Import a rate deck
///
/// It takes the place of a price list's rates: at once, or as an edition that is in force from a moment to come. A call keeps the price that it began with. The deck is a CSV file with a heading, its fields separated by commas, semicolons, tabs or bars; the headings of ASTPP, MagnusBilling and some carriers are understood. It is read while it comes, and put in force in one moment: all of it or nothing. What is wrong is listed in `mistakes`, with line, column and cure. With `dry_run` it is only said what would change.
#[utoipa::path(
    put, path = "/rates", tag = TAG, security(("token" = ["operate"])), params(ImportQuery),
    request_body(content = String, content_type = "text/csv"),
    responses((status = 200, body = ImportedView), (status = 409, response = Conflict)),
)]
async fn import_rates(caller: Caller, Query(query): Query<ImportQuery>, deck: Deck) -> Answer<ImportedView> {
    let (price_list, from) = (list(query.price_list), query.from.map(|moment| moment.0));
    let order = DeckOrder { price_list: price_list.clone(), from, is_rehearsal: query.dry_run };
    let (feed, pieces) = deck.split();
    let (now, store) = (storage::now(), caller.acting_on(None));
    let (receipt, deck) = tokio::join!(feed.run(), store.read_deck(now, order, pieces));
    // Where the body did not come whole, that is why it could not be read.
    let receipt = receipt?;
    let given = json!({ "octets": receipt.octets, "sha256": receipt.sha256, "price_list": price_list });
    let imported = caller.acting_with(&given).put_deck(now, deck?).await?;
    Ok(Json(ImportedView::of(imported, price_list)))
}

/// The import that is under way.
#[derive(Serialize, ToSchema)]
struct ImportView {
    is_running: bool,
    /// When it began; null if there is none.
    begun_at: Option<Moment>,
    /// Lines that were read.
    lines: u64,
    /// Rates that were written; they are not in force yet.
    rates: u64,
}

/// Show how far an import is
#[utoipa::path(
    get, path = "/rates/import", tag = TAG, security(("token" = ["inspect"])),
    responses((status = 200, body = ImportView)),
)]
async fn show_import(caller: Caller) -> Answer<ImportView> {
    let progress = caller.store().import_progress();
    Ok(Json(ImportView {
        is_running: progress.is_some(),
        begun_at: progress.map(|progress| Moment(progress.begun_at)),
        lines: progress.map_or(0, |progress| progress.lines),
        rates: progress.map_or(0, |progress| progress.rates),
    }))
}

/// What has become of an edition.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum State {
    /// It is what calls are rated by.
    InForce,
    /// It will be, from its moment on.
    ToCome,
    /// It was, before another one whose moment came later.
    Over,
    /// A later import has taken its place; taking that back brings it back.
    Replaced,
}

/// An edition of a price list.
#[derive(Serialize, ToSchema)]
#[schema(as = Edition)]
struct EditionView {
    /// Its number.
    id: i64,
    price_list: String,
    /// From when it holds; null is from the beginning.
    from: Option<Moment>,
    /// How many rates it has.
    rates: u64,
    state: State,
    /// When it was imported; null if that was before editions were kept.
    imported_at: Option<Moment>,
    /// By whom.
    imported_by: String,
}

/// Price lists.
#[derive(Serialize, ToSchema)]
struct PriceLists {
    /// By name and date.
    items: Vec<EditionView>,
}

/// List the price lists and their editions
///
/// Those that are in force, those to come, and the last ones that others have replaced.
#[utoipa::path(
    get, path = "/price-lists", tag = TAG, security(("token" = ["inspect"])),
    responses((status = 200, body = PriceLists)),
)]
async fn list_price_lists(caller: Caller) -> Answer<PriceLists> {
    Ok(Json(PriceLists { items: shown(caller.store().editions().await?, storage::now()) }))
}

/// The editions of all lists, in the order of their names and moments.
fn shown(editions: Vec<Edition>, now: Timestamp) -> Vec<EditionView> {
    let in_force = |edition: &Edition| {
        let is_rival = |other: &&Edition| {
            other.price_list == edition.price_list && other.state == EditionState::Valid && other.from <= now
        };
        let newest = editions.iter().filter(is_rival).max_by_key(|other| (other.from, other.id));
        newest.is_some_and(|newest| newest.id == edition.id)
    };
    let state = |edition: &Edition| match edition.state {
        EditionState::Replaced => State::Replaced,
        EditionState::Valid if edition.from > now => State::ToCome,
        EditionState::Valid if in_force(edition) => State::InForce,
        EditionState::Valid => State::Over,
    };
    let moment = |moment: Timestamp| Some(Moment(moment)).filter(|moment| moment.0 > Timestamp(0));
    let view = |edition: &Edition| EditionView {
        id: edition.id.0,
        price_list: edition.price_list.clone(),
        from: moment(edition.from),
        rates: edition.rates,
        state: state(edition),
        imported_at: moment(edition.imported_at),
        imported_by: edition.imported_by.clone(),
    };
    editions.iter().map(view).collect()
}

/// Take the newest edition of a price list back
///
/// The editions whose place it took hold again, at once. A call keeps the price that it began with. The five imports before the newest one are kept.
#[utoipa::path(
    delete, path = "/price-lists/{price_list}/editions/{edition}", tag = TAG, security(("token" = ["operate"])),
    params(("price_list", description = "The list's name."), ("edition", description = "The edition's number.")),
    responses((status = 200, body = PriceLists), (status = 409, response = Conflict)),
)]
async fn undo_import(caller: Caller, Path((price_list, edition)): Path<(String, i64)>) -> Answer<PriceLists> {
    let now = storage::now();
    caller.acting_on(None).undo_import(now, &price_list, EditionId(edition)).await?;
    let mut items = shown(caller.store().editions().await?, now);
    items.retain(|edition| edition.price_list == price_list);
    Ok(Json(PriceLists { items }))
}
