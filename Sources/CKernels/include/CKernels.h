#pragma once
#include "k_checksum.h"
