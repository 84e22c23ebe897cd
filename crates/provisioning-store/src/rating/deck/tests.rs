use proptest::prelude::*;

use super::*;
use crate::money::Micros;

fn table(csv: &str) -> RateTable {
    RateTable::from_csv(csv).unwrap_or_else(|refused| panic!("{refused}"))
}

fn refused(csv: &str) -> Vec<String> {
    let refused = RateTable::from_csv(csv).unwrap_err();
    refused.problems.iter().map(ToString::to_string).collect()
}

fn found(table: &RateTable, number: &str) -> (String, Micros, u32, u32) {
    let rate = table.find(number).unwrap();
    (rate.destination, rate.rate_per_minute, rate.minimum_s, rate.increment_s)
}

fn read(csv: &str) -> DeckRead {
    let mut deck = DeckReader::open(csv.as_bytes(), Timestamp(i64::MAX)).unwrap();
    while deck.next_rate().is_some() {}
    deck.finish().unwrap()
}

#[test]
fn reads_the_full_and_the_shortest_form() {
    let table = table(
        "prefix,destination,country,rate_per_minute,connection_fee,minimum_s,increment_s\n\
         # the Baltic\n372,Estonia,EE,0.04,,,\n+3725,\"Estonia, mobile\",ee,0.26,0.049,60,60\n",
    );
    assert_eq!(found(&table, "+3728800814"), ("Estonia".into(), Micros(40_000), 30, 6));
    let mobile = table.find("+3725800814").unwrap();
    assert_eq!((mobile.destination.as_str(), mobile.country.as_str()), ("Estonia, mobile", "EE"));
    assert_eq!((mobile.connection_fee, mobile.minimum_s, mobile.increment_s), (Micros(49_000), 60, 60));
    assert_eq!(RateTable::from_csv("rate_per_minute,prefix,destination\n0.008,1,USA\n").unwrap().len(), 1);
}

#[test]
fn names_the_line_and_the_cure_of_every_problem() {
    let lines = refused(
        "prefix,destination,country,rate_per_minute,connection_fee,minimum_s,increment_s\n\
         372,Estonia,EE,0.04,,,\n\
         +37x,,EE,-1,0.0000001,6,9999\n\
         372,Estonia,EE,0.05,,,\n\
         1,USA\n\
         44,UK,GB,1.5.0,,,\n\
         49,Ger\u{202e}many,DE,0.01,,,\n\
         4.47E+11,UK,GB,0.01,,,\n",
    );
    assert_eq!(
        lines,
        [
            "line 3, prefix: \"+37x\" is not a prefix; write 1 to 15 digits beginning with the country code",
            "line 3, destination: is empty; reports need a name for the calls",
            "line 3, rate_per_minute: \"-1\" is below zero; calls cannot earn money",
            "line 3, connection_fee: \"0.0000001\" has more than six digits after the point; round it to millionths",
            "line 3, increment_s: \"9999\" is not a number of seconds from 1 to 3600",
            "line 4, prefix: 372 stands in line 2 already; keep one of the two",
            "line 5: 2 fields where the header line has 7; quote fields that contain a comma",
            "line 6, rate_per_minute: \"1.5.0\" is not an amount; write digits with an optional point, like 6.95",
            "line 7, destination: holds the character U+202E, which cannot be seen",
            "line 8, prefix: \"4.47E+11\" is not a prefix; a spreadsheet has made a number of it; give the column the \
             format text and export again",
        ]
    );
}

#[test]
fn all_problems_are_counted_and_the_first_are_shown() {
    let mut csv = "prefix,destination,rate_per_minute\n".to_owned();
    for line in 0..250 {
        csv += &format!("x{line},Somewhere,0.01\n");
    }
    let refused = RateTable::from_csv(&csv).unwrap_err();
    assert_eq!((refused.problems.len(), refused.total), (PROBLEMS_SHOWN, 250));
    assert!(refused.to_string().ends_with("\n150 more, 250 in all; nothing was imported"));
}

#[test]
fn names_missing_and_unknown_columns() {
    let lines = refused("prefix,charge\n1,2\n").join("\n");
    assert!(lines.contains("\"charge\" is not a column"), "{lines}");
    assert!(lines.contains("the column destination is missing"), "{lines}");
    assert!(refused("prefix,destination,rate_per_minute,colour\n")[0].contains("\"colour\" is not a column"));
    assert!(refused("prefix,destination,rate_per_minute,prefix\n")[0].contains("\"prefix\" stands twice"));
    assert!(RateTable::from_csv("").is_err());
    assert!(refused("prefix,destination,rate_per_minute\n")[0].contains("no rates follow"));
}

#[test]
fn semicolons_tabs_marks_and_windows_lines_are_understood() {
    for separator in [",", ";", "|"] {
        let csv = "\u{feff}# for you\r\n\r\nprefix,destination,rate_per_minute\r\n+372,\"Estonia, fixed\",0.04\r\n0044,UK,0.01\r\n"
            .replace(", fixed", "@ fixed")
            .replace([',', '@'], separator);
        let table = table(&csv);
        assert_eq!(found(&table, "+3728800814").0, format!("Estonia{separator} fixed"), "{csv}");
        assert_eq!(found(&table, "+442071234567").0, "UK");
    }
    let tabs = table("prefix\tdestination\trate_per_minute\n372\tEstonia, fixed; all\t0.04\n");
    assert_eq!(found(&tabs, "+3728800814").0, "Estonia, fixed; all");
}

#[test]
fn prefixes_that_are_the_same_without_their_dress_are_duplicates() {
    let lines = refused("prefix,destination,rate_per_minute\n+44,UK,0.01\n49,Germany,0.01\n0044,UK,0.02\n");
    assert_eq!(lines, ["line 4, prefix: 44 stands in line 2 already; keep one of the two"]);
    assert!(refused("prefix,destination,rate_per_minute\n044,UK,0.01\n")[0].contains("country code"));
}

#[test]
fn decimal_commas_are_read_where_they_can_be_nothing_else() {
    let table = table("prefix;destination;rate_per_minute\n372;Estonia;0,04\n44;UK;1,234\n49;Germany;2\n");
    assert_eq!(found(&table, "+3721").1, Micros(40_000));
    assert_eq!(found(&table, "+441").1, Micros(1_234_000), "the deck has shown that it writes commas");
    let lines = refused("prefix;destination;rate_per_minute\n44;UK;1,234\n49;Germany;2\n");
    assert_eq!(lines, ["line 2, rate_per_minute: \"1,234\" may be 1.234 or 1234; write a decimal point"]);
    let lines =
        refused("prefix;destination;rate_per_minute\n372;Estonia;0,04\n44;UK;1,234\n49;Germany;0.02\n");
    assert_eq!(lines.len(), 1, "{lines:?}");
    let lines = refused("prefix;destination;rate_per_minute\n44;UK;1.234,5\n");
    assert!(lines[0].contains("has commas and points"), "{lines:?}");
}

#[test]
fn a_quotation_mark_that_is_not_closed_is_found() {
    let mut csv = "prefix,destination,rate_per_minute\n372,\"Estonia,0.04\n".to_owned();
    for prefix in 1..50_000 {
        csv += &format!("{prefix},Somewhere,0.01\n");
    }
    let lines = refused(&csv);
    assert_eq!(lines, ["line 2: a quotation mark opens here and is not closed; close it or leave it out"]);
    let latin = b"prefix,destination,rate_per_minute\n225,C\xf4te d'Ivoire,0.2\n33,France,x\n";
    let mut deck = DeckReader::open(&latin[..], Timestamp(0)).unwrap();
    while deck.next_rate().is_some() {}
    let Err(DeckFault::Refused(refused)) = deck.finish() else { panic!("it is not UTF-8") };
    assert_eq!(refused.total, 2, "{refused}");
    assert!(refused.to_string().starts_with("line 2: holds characters that are not UTF-8"), "{refused}");
}

#[test]
fn the_exports_of_other_programs_are_recognised() {
    let astpp = "Code,Destination,Country,\"Connection Cost(USD)\",\"Grace Time\",\"Cost / Min(USD)\",\"Initial \
        Increment\",Increment,\"Rate Group\",Reseller,\"Created Date\",\"Modified Date\",Status\n\
        372,Estonia,Estonia,0.00000,0,0.02500,0,6,default,Admin,\"2026-05-10 07:55:42\",\"2026-05-10 07:55:42\",Active\n\
        3725,--,Estonia,0.01,0,0.2,60,0,default,Admin,,,Active\n\
        49,Germany,Germany,0,0,0.01,1,1,default,Admin,,,Inactive\n";
    assert_eq!(read(astpp).layout, "ASTPP");
    assert_eq!((read(astpp).rates, read(astpp).lines_left_out), (2, 1));
    assert_eq!(found(&table(astpp), "+3721"), ("Estonia".into(), Micros(25_000), 6, 6));
    assert_eq!(found(&table(astpp), "+3725"), ("Estonia".into(), Micros(200_000), 60, 1));
    let sample = "Code,Destination,Connect Cost,Included Seconds,Per Minute Cost,Increment,Precedence\n\
        93,Afghanistan - Fixed,0,0,0.2,60,0,\n \n";
    assert_eq!(found(&table(sample), "+93"), ("Afghanistan - Fixed".into(), Micros(200_000), 60, 60));
    let grace = sample.replace("Fixed,0,0,", "Fixed,0,25,");
    assert!(
        refused(&grace)[0].starts_with("line 2, Included Seconds: \"25\" cannot be charged or granted here")
    );

    let magnus = "Prefix;Destination;\"Sell price\";\"Initial block\";\"Billing block\";\"Trunk groups\";Plan;Status\n\
        5511;Brazil Sao Paulo;0.0098;30;6;Main;Retail;Active\n55119;Brazil mobile;0.05;0;0;Main;Retail;Inactive\n\
        351;Portugal;0.01;0;0;Main;Retail;Active\n";
    let seen = read(magnus);
    assert_eq!((seen.layout, seen.rates, seen.lines_left_out), ("MagnusBilling", 2, 1));
    assert_eq!(seen.columns_left_out, ["Trunk groups", "Plan"]);
    assert_eq!(found(&table(magnus), "+5511"), ("Brazil Sao Paulo".into(), Micros(9_800), 30, 6));
    assert_eq!(found(&table(magnus), "+351"), ("Portugal".into(), Micros(10_000), 1, 1));
}

#[test]
fn the_decks_of_carriers_are_recognised() {
    let twilio = "ISO,Country,Description,Price / min,Origination Prefixes,Destination Prefixes\n\
        AT,Austria,Outbound Minute - Austria,0.15500,,\"43, 431\"\n\
        AT,Austria,Outbound Minute - Austria,0.25500,\"1242, 1246\",\"43, 431\"\n";
    let seen = read(twilio);
    assert_eq!((seen.layout, seen.rates, seen.lines_left_out), ("Twilio", 2, 1));
    let austria = table(twilio).find("+43199").unwrap();
    assert_eq!((austria.country.as_str(), austria.rate_per_minute), ("AT", Micros(155_000)));

    let telnyx = "ISO,Country,Origination Prefixes,Destination Prefixes,Description,Interval 1,Interval N,Rate,Price \
        Per Call,Exact Match\nLU,Luxembourg,,35220,Luxembourg - NGN,60,60,0.044,,\n\
        LU,Luxembourg,local,35221,Luxembourg,60,60,0.01,,\n";
    let seen = read(telnyx);
    assert_eq!((seen.layout, seen.rates, seen.lines_left_out), ("Telnyx", 1, 1));
    assert_eq!(found(&table(telnyx), "+35220"), ("Luxembourg - NGN".into(), Micros(44_000), 60, 60));

    let exchange = "Country,Description,Prefix,Effective from,Rate Id,Forbidden,Discontinued,Price 1,Price N,Interval \
        1,Interval N\n,,447700,ASAP,,0,0,0.0125,0.0125,1,1\n,,5511,1969-12-31 00:00:00,,0,0,0.0098,0.0098,30,6\n\
        ,,49,ASAP,,1,0,0.01,0.01,1,1\n";
    let seen = read(exchange);
    assert_eq!((seen.layout, seen.rates, seen.lines_left_out), ("TelecomsXChange", 2, 1));
    assert_eq!(found(&table(exchange), "+447700900000"), ("+447700".into(), Micros(12_500), 1, 1));
    let mut late = DeckReader::open(exchange.replace("1969-12-31", "1970-01-02").as_bytes(), Timestamp(0))
        .map(|mut deck| {
            while deck.next_rate().is_some() {}
            deck.finish()
        });
    let Ok(Err(DeckFault::Refused(refused))) = &mut late else { panic!("it holds later") };
    assert!(refused.to_string().starts_with("line 3, Effective from: holds from 1970-01-02"), "{refused}");
    let split = exchange.replace("0.0125,0.0125", "0.0125,0.03");
    assert!(self::refused(&split)[0].contains("differs from the rate of the first interval"));

    let list = "Destination;Dial Code;Rate (USD);Billing Increment;Effective Date\nEstonia mobile;003725;0,21;60/6;2020-01-31\n";
    assert_eq!(read(list).layout, "A-Z");
    assert_eq!(found(&table(list), "+3725"), ("Estonia mobile".into(), Micros(210_000), 60, 6));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_with_a_line(
        text in "(prefix,destination,rate_per_minute\n|Code;Destination;Rate\n)?[0-9a-z,.;\"\r\n#+-]{0,200}",
    ) {
        if let Err(refused) = RateTable::from_csv(&text) {
            prop_assert!(!refused.problems.is_empty());
            prop_assert!(refused.problems.iter().all(|problem| problem.line >= 1));
        }
    }
}
