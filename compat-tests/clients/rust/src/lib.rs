//! Nothing here: the suite is in `tests/`, see `run.sh`.
