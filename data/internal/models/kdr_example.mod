TITLE delayed rectifier: an example made for Ammon, no published model. CC0.

NEURON {
  SUFFIX kdr_example
  USEION k WRITE ik
  RANGE gbar
}

UNITS { (mV) = (millivolt) (mA) = (milliamp) (S) = (siemens) }

PARAMETER {
  gbar = 0.001 (S/cm2)
  erev = -90 (mV)
  vhalf = -30 (mV)
  slope = 8 (mV)
  tau = 2 (ms)
}

ASSIGNED { v (mV) ik (mA/cm2) }

STATE { m }

INITIAL { m = 1 / (1 + exp((vhalf - v) / slope)) }

BREAKPOINT {
  SOLVE states METHOD cnexp
  ik = gbar * m * (v - erev)
}

DERIVATIVE states { m' = (1 / (1 + exp((vhalf - v) / slope)) - m) / tau }
