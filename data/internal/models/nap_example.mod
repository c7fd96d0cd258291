TITLE persistent sodium: an example made for Ammon, no published model. CC0.

NEURON {
  SUFFIX nap_example
  USEION na WRITE ina
  RANGE gbar
}

UNITS { (mV) = (millivolt) (mA) = (milliamp) (S) = (siemens) }

PARAMETER {
  gbar = 0.001 (S/cm2)
  erev = 50 (mV)
  vhalf = -30 (mV)
  slope = 8 (mV)
  tau = 2 (ms)
}

ASSIGNED { v (mV) ina (mA/cm2) }

STATE { m }

INITIAL { m = 1 / (1 + exp((vhalf - v) / slope)) }

BREAKPOINT {
  SOLVE states METHOD cnexp
  ina = gbar * m * (v - erev)
}

DERIVATIVE states { m' = (1 / (1 + exp((vhalf - v) / slope)) - m) / tau }
