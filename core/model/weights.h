// weights.json: fills the terms of a model whose model.json has been read. Inside this layer only.
#pragma once
#include "model/terms.h"

// Reads the base and what each term adds; `model` has its info, factor, term_count and each term's feature.
int weights_read(struct bytes json, struct model *model, struct error *err) ITD_MUST_USE;
