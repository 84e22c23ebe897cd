//! The sipgw daemon: joins signalling, media and accounting.
