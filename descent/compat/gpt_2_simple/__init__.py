"""gpt-2-simple's functions over Descent: change the import and its README runs.

    import descent.compat.gpt_2_simple as gpt2

    gpt2.download_gpt2(model_name="124M")
    sess = gpt2.start_tf_sess()
    gpt2.finetune(sess, "shakespeare.txt", model_name="124M", steps=1000)
    gpt2.generate(sess)

Names, parameters and defaults are gpt-2-simple 0.8.1's. What differs is what its users asked for: a
generation ends at the end token, prefix and truncate do not interfere, a text may be shorter than
the context, part of it is held out, a run goes on with the same bits, several models live in one
process, gradients of accumulated batches are averaged. A session is a plain object; there is no
graph to reset. Runs are Descent's run folders, so `descent serve checkpoint/run1` works.

Reference: github.com/minimaxir/gpt-2-simple (MIT). Left out: several GPUs, TPUs, TensorBoard files.
"""

from descent.compat.gpt_2_simple.drive import (
    copy_checkpoint_from_gdrive,
    copy_checkpoint_to_gdrive,
    copy_file_from_gdrive,
    copy_file_to_gdrive,
    is_mounted,
    mount_gdrive,
)
from descent.compat.gpt_2_simple.encoding import encode_csv, encode_dataset
from descent.compat.gpt_2_simple.models import download_gpt2, is_gpt2_downloaded
from descent.compat.gpt_2_simple.session import (
    Session,
    load_gpt2,
    reset_session,
    start_tf_sess,
)
from descent.compat.gpt_2_simple.training import finetune
from descent.compat.gpt_2_simple.writing import generate, generate_to_file

__all__ = [
    "Session",
    "copy_checkpoint_from_gdrive",
    "copy_checkpoint_to_gdrive",
    "copy_file_from_gdrive",
    "copy_file_to_gdrive",
    "download_gpt2",
    "encode_csv",
    "encode_dataset",
    "finetune",
    "generate",
    "generate_to_file",
    "is_gpt2_downloaded",
    "is_mounted",
    "load_gpt2",
    "mount_gdrive",
    "reset_session",
    "start_tf_sess",
]
