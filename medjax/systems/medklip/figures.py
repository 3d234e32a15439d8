"""Pictures of zero-shot classification, under the names that are promised for them."""

from matplotlib.figure import Figure

from medjax.metrics.figures import Predictions, auroc_by_label, precision_recall_curves, roc_curves


def entity_figures(predictions: Predictions) -> dict[str, Figure]:
    """Return the pictures of a split by file stem: auc_per_entity, roc_curve, precision_recall."""
    return {
        "auc_per_entity": auroc_by_label(predictions),
        "roc_curve": roc_curves(predictions),
        "precision_recall": precision_recall_curves(predictions),
    }
