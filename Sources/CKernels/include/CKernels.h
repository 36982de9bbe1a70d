#pragma once
#include "k_attention.h"
#include "k_checksum.h"
#include "k_kernels.h"
#include "k_matrix.h"
#include "k_spin.h"
#include "k_tasks.h"
#include "k_types.h"
