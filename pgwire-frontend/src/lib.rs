//! pgwire-frontend.
