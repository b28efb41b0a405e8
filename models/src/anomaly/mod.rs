//! Detectors of unusual traffic. Knows numbers and time steps, no principal and no query.
