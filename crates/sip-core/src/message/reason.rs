//! The Reason header field (RFC 3326): why a request was sent or refused, in the words of another protocol.

use super::{Message, Name, Params, text};

/// The Q.850 cause that a message names (RFC 6432 allows it in responses).
pub fn q850_cause(message: &Message) -> Option<u8> {
    message.headers(Name::Reason).find_map(q850_cause_in)
}

/// The Q.850 cause among the values of a Reason header field, separated by commas.
pub fn q850_cause_in(reasons: &str) -> Option<u8> {
    let mut rest = reasons;
    while !rest.is_empty() {
        let end = text::find_outside_quotes(rest, b',').unwrap_or(rest.len());
        if let Some(cause) = cause_of_one(&rest[..end]) {
            return Some(cause);
        }
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    None
}

fn cause_of_one(reason: &str) -> Option<u8> {
    let (protocol, params) = reason.split_once(';')?;
    let cause: u8 = Params::new(params).value("cause")?.trim().parse().ok()?;
    (protocol.trim().eq_ignore_ascii_case("Q.850") && cause < 128).then_some(cause)
}

/// The cause that an exchange of the telephone network would give for a SIP status (RFC 3398 section 8.2.6.1).
pub fn cause_of_status(status: u16) -> u8 {
    match status {
        404 | 485 | 604 => 1,
        486 | 600 => 17,
        480 => 18,
        401 | 402 | 403 | 407 | 603 => 21,
        410 => 22,
        482 | 483 => 25,
        484 => 28,
        606 => 31,
        502 => 38,
        405 => 63,
        406 | 415 | 501 => 79,
        408 | 504 => 102,
        413 | 414 | 416 | 420 | 421 | 423 | 505 | 513 => 127,
        400 | 481 | 500 | 503 => 41,
        // "Interworking, unspecified".
        _ => 127,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_read_wherever_it_stands_and_no_other_number_is() {
        assert_eq!(q850_cause_in("Q.850;cause=34;text=\"No circuit; try later\""), Some(34));
        assert_eq!(q850_cause_in("SIP;cause=480;text=\"a, b\", Q.850;cause=20"), Some(20));
        assert_eq!(q850_cause_in("q.850 ; text=\"cause=1\" ; cause = 17"), Some(17));
        for other in ["SIP;cause=200", "Q.850", "Q.850;text=\"x\"", "Q.850;cause=999", "Q.850;cause=200", ""]
        {
            assert_eq!(q850_cause_in(other), None, "{other}");
        }
    }

    #[test]
    fn a_status_has_the_cause_of_rfc_3398() {
        let causes = [(404, 1), (486, 17), (500, 41), (502, 38), (503, 41), (504, 102), (599, 127)];
        for (status, cause) in causes {
            assert_eq!(cause_of_status(status), cause, "{status}");
        }
    }
}
