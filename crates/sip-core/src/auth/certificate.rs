//! What a peer's certificate says of it.

/// The DNS names on a certificate that was verified (subjectAltName, RFC 5922 section 7.1), in lower case.
///
/// A name that is a pattern (`*.example.com`) names nobody (RFC 5922 section 7.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateNames(Vec<String>);

impl CertificateNames {
    /// Names of one certificate that count, the first ones; a PBX needs one.
    pub const MOST: usize = 16;
    /// Octets of the longest domain name (RFC 1035 section 3.1).
    pub const LONGEST: usize = 253;

    /// Takes the names as they stand on the certificate.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let is_name = |name: &&str| !name.is_empty() && name.len() <= Self::LONGEST && !name.contains('*');
        let names = names.into_iter().filter(is_name).take(Self::MOST);
        Self(names.map(str::to_ascii_lowercase).collect())
    }

    /// Whether it names nobody.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names, in the order of the certificate.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_few_and_short_and_no_patterns() {
        let long = "x".repeat(CertificateNames::LONGEST + 1);
        let names = CertificateNames::new(["PBX.Example.com", "*.example.com", &long, "", "b.example"]);
        assert_eq!(names.iter().collect::<Vec<_>>(), ["pbx.example.com", "b.example"]);
        let many: Vec<_> = (0..100).map(|n| format!("n{n}.example")).collect();
        let names = CertificateNames::new(many.iter().map(String::as_str));
        assert_eq!(names.iter().count(), CertificateNames::MOST);
        assert!(CertificateNames::new(["*"]).is_empty());
    }
}
