from __future__ import annotations

from carenet.bench.fanout_report import FanoutPlan, FanoutReport, Layout, Spell


def test_the_figures_at_the_top_are_medians_of_all_on_one_patient() -> None:
    one, five = Layout(), Layout()
    for deliveries, seconds, cpu_s in ((1000, 1.0, 0.010), (1000, 0.5, 0.012), (1000, 2.0, 0.030)):
        one.gateway.append(Spell(deliveries, seconds, cpu_s))
        one.bare.append(Spell(deliveries, seconds, 0.008))
        five.gateway.append(Spell(deliveries, seconds, 0.040))
        five.bare.append(Spell(deliveries, seconds, 0.010))
    said = FanoutReport(FanoutPlan(500), one, five, 2400).to_map()
    assert {name: said[name] for name in ("cpu_us_per_delivery", "bare_cpu_us_per_delivery", "ratio")} == {
        "cpu_us_per_delivery": 12.0,
        "bare_cpu_us_per_delivery": 8.0,
        "ratio": 1.5,
    }
    assert (said["deliveries_per_s"], said["bare_deliveries_per_s"]) == (1000, 1000)
    assert said["five_a_patient"]["ratio"] == 4.0  # type: ignore[index]
