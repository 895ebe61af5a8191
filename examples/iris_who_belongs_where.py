# %% [markdown]
# # Irises: who belongs where, and how sure is that?
#
# Four measurements of 150 irises, and a mixture of three normal distributions that is not told the species. Which flowers does it
# put together, how sure is it, and does it deserve to be? The species answer the last question, and nothing else here uses them.

# %%
import os
import textwrap
from pathlib import Path

import pandas as pd

import bayesgmm as bg

DRAWS = int(os.environ.get("BAYESGMM_EXAMPLE_DRAWS", "1000"))
FOLDER = Path(os.environ.get("BAYESGMM_EXAMPLE_FOLDER", "."))
pd.set_option("display.width", 130, "display.max_columns", 20, "display.max_colwidth", None)

irises = bg.load_iris()
X, species = irises.drop(columns="species"), irises["species"]
print(X.describe().round(2))

# %% [markdown]
# ## The fit and the draws
#
# Maximum likelihood first; the chains start around what it finds. The lengths are rounded to a millimetre, which the model
# notices from the ties and takes into account.

# %%
em = bg.fit_em(X, 3, seed=0)
print(em)
tree = bg.sample(X, em, draws=DRAWS, seed=1)

# %% [markdown]
# ## Can these draws be trusted?
#
# The diagnosis judges by quantities that do not change when components swap names. Read it from the top:
#
# - the *verdict*: R-hat compares the chains with one another, effective draws say what the draws are worth as independent ones;
# - below it *remarks*: what to know although nothing may be wrong;
# - *chains*: a row per chain. `structure` is the grouping of the flowers that most of its draws have, `share` how many of them,
#   `passages` how often it went to another grouping;
# - *structures*: these groupings, `share` being that of all draws, `evidence` what Laplace's approximation of the posterior
#   gives the modes that group the flowers so.


# %%
def say(text):
    """Print it in lines that fit a page."""
    for line in str(text).splitlines():
        print(textwrap.fill(line, 110, subsequent_indent="  "))


def show(diagnosis):
    """The diagnosis, its chains and its groupings."""
    say(diagnosis)
    print(diagnosis.chains.round(3))
    print(diagnosis.structures.table[["share", "evidence", "weights", "description"]])


diagnosis = bg.diagnose(tree)
show(diagnosis)

# %% [markdown]
# If a chain left for a grouping with next to no evidence, it is a place that is hard to leave: one visit is then too long a share
# of a short run, and a run without any visit says too little of it. The advice is to sample longer or again. Here it is taken
# once, and the two runs are set side by side; the second is used below, with whatever it says of itself.

# %%
again = bg.sample(X, em, draws=DRAWS, seed=2)
second = bg.diagnose(again)
show(second)
for name, run in (("first", diagnosis), ("second", second)):
    print(f"{name} run: {run.share_elsewhere:.1%} of the draws group the flowers otherwise than EM")

# %% [markdown]
# ## Who belongs where
#
# For each flower the probability of each component: by EM with its standard error (of the first order, from the observed
# information), and as the posterior has it, with an interval. The least certain flowers:

# %%
memberships = bg.assignments(again)
rows = memberships["entropy"].argsort()[-8:].values[::-1]
unsure = memberships.isel(obs=rows)
labels = unsure["label"].values
at = {name: unsure[name].values[range(len(rows)), labels] for name in unsure.data_vars if unsure[name].ndim == 2}
print(
    pd.DataFrame(
        {
            "component": labels,
            "by EM": [f"{p:.2f} +- {se:.2f}" for p, se in zip(at["em_membership"], at["em_membership_se"], strict=True)],
            "posterior": [
                f"{p:.2f} [{low:.2f}, {high:.2f}]"
                for p, low, high in zip(at["membership"], at["membership_lower"], at["membership_upper"], strict=True)
            ],
            "species": species.iloc[rows].values,
        },
        index=pd.Index(rows, name="flower"),
    )
)

# %% [markdown]
# A probability cannot leave [0, 1], but an estimate plus or minus two standard errors can; where it does, the standard error says
# "unsure" and no more. The posterior's intervals stay inside, and may be wide where EM's number is close to 0 or 1.
#
# Does anybody change sides between EM and the posterior?

# %%
flips = bg.flips(memberships)
print(flips.round(3) if len(flips) else "Every flower has the same most probable component by EM and by the posterior.")

# %% [markdown]
# ## Why unsure?
#
# The entropy of a membership has two parts. *Expected entropy* would stay if the parameters were known: the components overlap.
# *Mutual information* is there because they are not known, and more flowers would make it smaller. EM's plug-in memberships know
# only one point of the parameters, and so nothing of the second.

# %%
total = memberships[["entropy", "expected_entropy", "mutual_information", "em_entropy"]].sum()
print("over all flowers, in nats:", {str(name): round(float(value), 2) for name, value in total.items()})
comparison = bg.compare(em, again)
bg.plot_memberships(comparison).savefig(FOLDER / "iris_memberships.png", dpi=150)
bg.plot_entropy(comparison).savefig(FOLDER / "iris_entropy.png", dpi=150)

# %% [markdown]
# ## Do the probabilities mean what they say?
#
# Now the species are looked at. Brier and log score are smaller for better probabilities; `n_misplaced` counts flowers on the
# wrong side, whatever their probability. Two methods with the same errors can differ in how surely they made them.

# %%
judged = bg.calibration(memberships, species)
print(judged)
bg.plot_calibration(judged).savefig(FOLDER / "iris_calibration.png", dpi=150)

# %% [markdown]
# With 150 flowers, most of them certain, few are left to judge by: look at the counts and at the width of the intervals before
# preferring either.
#
# ## Who belongs with whom
#
# The grouping of the flowers needs no names of components. Of all groupings, these lie nearest to what the posterior says, by
# two measures of distance; each comes with a credible ball, and with the place of EM's grouping.

# %%
found = {loss: bg.partition(again, loss=loss) for loss in ("vi", "binder")}
for loss, best in found.items():
    say(f"{loss}: {best.summary}")
    edge = best.credible_ball(0.95).horizontal
    largest = [int(pd.Series(labels).value_counts().max()) for labels in edge]
    print(f"groupings at the edge of this ball: {len(edge)}, with a largest group of {min(largest)} to {max(largest)} flowers")
print(pd.crosstab(found["vi"].labels, species, rownames=["group"]))
bg.plot_similarity(again, found["vi"]).savefig(FOLDER / "iris_similarity.png", dpi=150)

# %% [markdown]
# In the picture a dark block is a group whose members are together in nearly every draw. What is grey between two blocks are
# the pairs of flowers of which the posterior is not sure whether they are together.
