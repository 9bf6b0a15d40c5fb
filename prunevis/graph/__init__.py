"""What a network is: its layers, the channels that leave together, and what each part costs.

`trace` runs a forward once without data (`recorder`), follows units through every operator
(`rules`, `views`, `shapes`, `contractions`; `atoms` and `values` are what they work on), and sorts
them into groups (`coupling`). `observe` looks at units in a real run. `layers` holds the results,
`cost` the arithmetic on them. `drawing` says what there is to draw of a network, `explain` why
channels leave together. Nothing here writes to the model.
"""

from prunevis.graph.cost import CostModel, LayerCost, ModelCost, cost
from prunevis.graph.explain import explain_coupling
from prunevis.graph.layers import ChannelGroup, LayerInfo, Member, ModelGraph, TensorInfo
from prunevis.graph.observe import observe
from prunevis.graph.trace import trace

__all__ = [
    "ChannelGroup",
    "CostModel",
    "LayerCost",
    "LayerInfo",
    "Member",
    "ModelCost",
    "ModelGraph",
    "TensorInfo",
    "cost",
    "explain_coupling",
    "observe",
    "trace",
]
