/* SPDX-License-Identifier: MIT
 * src/base/bits.h. */
#include "base/bits.h"

#include "tap.h"

int main(void) {
  OK(bits_align_up(0, 8) == 0 && bits_align_up(1, 8) == 8 && bits_align_up(8, 8) == 8,
     "aligning up goes to the next multiple");
  OK(bits_align_down(7, 8) == 0 && bits_align_down(16, 8) == 16, "aligning down goes to the multiple before");
  OK(!bits_is_power_of_two(0) && bits_is_power_of_two(1) && !bits_is_power_of_two(6) &&
         bits_is_power_of_two((uintptr_t)1 << 63),
     "0 is no power of two, 1 and the top bit are");
  OK(bits_lowest(12) == 2 && bits_highest(12) == 3 && bits_highest(~(uint64_t)0) == 63,
     "the lowest and highest set bits");
  OK(bits_count(0) == 0 && bits_count(0xff0) == 8, "set bits are counted");
  OK(bits_power_of_two_up(0) == 1 && bits_power_of_two_up(1) == 1 && bits_power_of_two_up(5) == 8 &&
         bits_power_of_two_up((uintptr_t)1 << 63) == (uintptr_t)1 << 63,
     "the next power of two");
  OK(bits_power_of_two_up(((uintptr_t)1 << 63) + 1) == 0, "a power of two that does not fit is 0");

  uint64_t seed = tap_seed();
  bool good = true;
  for (int i = 0; i < 10000; i++) {
    uint64_t n = tap_random(&seed) >> (i % 63);
    if (n == 0) continue;
    uintptr_t up = bits_power_of_two_up(n);
    good = good && (n >> bits_highest(n)) == 1 && (n & ((uint64_t)1 << bits_lowest(n))) &&
           (up == 0 || (up >= n && up / 2 < n));
  }
  OK(good, "10,000 random words agree with the definitions");
  OK(bits_mix(1) != bits_mix(2) && bits_mix(1) == bits_mix(1), "the mix is a function");
  return tap_end();
}
