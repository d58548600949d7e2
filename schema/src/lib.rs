//! What happened: see the README for the map.
