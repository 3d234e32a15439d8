"""The cross-modal autoencoder in Keras, for the bench alone: a process of its own that is timed.

Started by `tests.bench.crossmodal` with the Python of an environment that has TensorFlow; it reads
a line a command from standard input and answers each with one line of JSON. It imports nothing of
this project.

    {"make": "Keras", "row": "ecg", "options": {...}, "arrays": "batch.npz", "jit": true}
    {"step": "Keras"}           run what was made under this name once, and time it
"""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import tensorflow as tf
from keras import layers

CONV = {1: layers.Conv1D, 2: layers.Conv2D}
POOL = {
    ("max", 1): layers.MaxPooling1D,
    ("max", 2): layers.MaxPooling2D,
    ("average", 1): layers.AveragePooling1D,
    ("average", 2): layers.AveragePooling2D,
}
UPSAMPLE = {1: layers.UpSampling1D, 2: layers.UpSampling2D}


def conv(o: dict, features: int, size: list[int], name: str) -> Any:
    return CONV[o["axes"]](features, size, padding="same", name=name)


def dense_block(o: dict, x: Any, features: int, size: list[int], name: str) -> Any:
    seen = [x]
    for i in range(o["block_size"]):
        x = layers.Concatenate()(seen) if i else x
        x = layers.Activation(o["activation"])(conv(o, features, size, f"{name}.conv{i}")(x))
        seen.append(x)
    return x


def encoder(o: dict, name: str) -> keras.Model:
    """Signal -> latent."""
    x = start = keras.Input(o["shape"])
    for i, (features, size) in enumerate(zip(o["conv_layers"], o["kernels"])):
        y = conv(o, features, size, f"{name}.residual.conv{i}")(x)
        y = layers.Activation(o["activation"])(y)
        one = [1] * o["axes"]
        skip = f"{name}.residual.skip{i}"
        x = layers.Add()([conv(o, o["conv_layers"][0], one, skip)(y), x]) if i else y
    for i, features in enumerate(o["dense_blocks"]):
        x = POOL[o["pool_type"], o["axes"]](o["factors"])(x)
        size = o["kernels"][len(o["conv_layers"]) + i]
        x = dense_block(o, x, features, size, f"{name}.block{i}")
    x = layers.Dense(o["latent"], name=f"{name}.dense0")(layers.Flatten()(x))
    x = layers.Activation(o["activation"])(x)
    return keras.Model(start, layers.LayerNormalization(name=f"{name}.norm0")(x))


def decoder(o: dict, name: str) -> keras.Model:
    """Latent -> signal."""
    z = keras.Input((o["latent"],))
    x = layers.Dense(int(np.prod(o["start"])), name=f"{name}.restructure")(z)
    x = layers.Reshape(o["start"])(layers.Activation(o["activation"])(x))
    for i, features in enumerate(o["dense_blocks"]):
        x = UPSAMPLE[o["axes"]](o["factors"] if o["axes"] > 1 else o["factors"][0])(x)
        x = dense_block(o, x, features, o["kernels"][i], f"{name}.block{i}")
    return keras.Model(z, conv(o, o["shape"][-1], [1] * o["axes"], f"{name}.label")(x))


def log_cosh(error: Any) -> Any:
    return tf.reduce_mean(error + tf.nn.softplus(-2 * error) - np.log(2.0))


class Paired(keras.layers.Layer):
    """One modality a sample at random; adds the contrastive loss."""

    def build(self, shapes: Any) -> None:
        self.log_scale = self.add_weight(
            shape=(), initializer=keras.initializers.Constant(2.6593), name="log_scale"
        )

    def call(self, latents: Any) -> Any:
        left, right = (tf.math.l2_normalize(z, 1) for z in latents)
        logits = tf.exp(self.log_scale) * tf.matmul(left, right, transpose_b=True)
        truth = tf.range(tf.shape(left)[0])
        entropy = tf.nn.sparse_softmax_cross_entropy_with_logits
        loss = entropy(truth, logits) + entropy(truth, tf.transpose(logits))
        self.add_loss(0.1 * tf.reduce_mean(loss) / 2)
        stacked = tf.stack(latents, 1)
        index = tf.random.uniform([tf.shape(left)[0]], 0, len(latents), tf.int32)
        return tf.gather(stacked, index, axis=1, batch_dims=1)


def make(command: dict) -> tuple[Callable[[], Any], float]:
    """Return (what is timed, the greatest difference of latents and reconstructions to ours)."""
    row, jit = command["row"], command["jit"]
    arrays = dict(np.load(command["arrays"]))
    batch = {n: arrays[n] for n in command["options"]}
    parts = {
        f"{side}_{n}": build(o, f"{side}_{n}")
        for n, o in command["options"].items()
        for side, build in (("encoder", encoder), ("decoder", decoder))
    }
    for part in parts.values():
        for layer in part.layers:
            kinds = [w.path.rpartition("/")[2] for w in layer.weights]
            layer.set_weights([arrays[f"{layer.name}.{kind}"] for kind in kinds])
    worst = 0.0
    for n, x in batch.items():
        z = parts[f"encoder_{n}"].predict(x, verbose=0)
        y = parts[f"decoder_{n}"].predict(z, verbose=0)
        worst = max(worst, np.abs(z - arrays[f"z_{n}"]).max(), np.abs(y - arrays[f"y_{n}"]).max())
    if row == "infer":
        calls = [
            tf.function(parts[f"encoder_{n}"], jit_compile=jit, reduce_retracing=True)
            for n in batch
        ]
        given = [tf.constant(x) for x in batch.values()]
        return lambda: [call(x).numpy() for call, x in zip(calls, given)], worst
    inputs = {n: keras.Input(o["shape"], name=n) for n, o in command["options"].items()}
    latents = [parts[f"encoder_{n}"](x) for n, x in inputs.items()]
    z = Paired()(latents) if len(latents) > 1 else latents[0]
    outputs = [parts[f"decoder_{n}"](z) for n in inputs]
    model = keras.Model(list(inputs.values()), outputs)
    losses = {"ecg": lambda y, p: log_cosh(p - y), "mri": "mse"}
    model.compile(keras.optimizers.Adam(5e-5), [losses[n] for n in inputs], jit_compile=jit)
    given = [tf.constant(x) for x in batch.values()]
    return lambda: model.train_on_batch(given, given), worst


def main() -> None:
    threads = int(sys.argv[1])
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    answers, sys.stdout = sys.stdout, sys.stderr
    made: dict[str, Callable[[], Any]] = {}
    for line in sys.stdin:
        command = json.loads(line)
        if "step" in command:
            wall, processor = time.perf_counter(), time.process_time()
            made[command["step"]]()
            answer = [time.process_time() - processor, time.perf_counter() - wall]
        else:
            made[command["make"]], worst = make(command)
            answer = [float(worst)]
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
