#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every scenario of this folder: the real controllers in a simulated world. One TAP line a case.
exec "${WEIR_SIM:-./weir-sim}" "${srcdir:-.}"/tests/scen/*.scn
