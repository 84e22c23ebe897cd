//! Channel limits, credit and minute bundles per profile, kept in a database.
