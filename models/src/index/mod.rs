//! Search for indexes under a budget. Knows candidate costs through a trait, no source.
