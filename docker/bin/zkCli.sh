#!/bin/sh
# The client under the name that scripts call.
exec "${FERROKEEPER:-ferrokeeper}" cli "$@"
