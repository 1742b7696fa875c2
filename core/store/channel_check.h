// Do the frames of a journal prove that every message was applied once, in its channel's order, and none that was not
// sent? For store_verify: it shows every frame, each partition's in sequence. Reads only; one thread.
#pragma once
#include "store/journal.h"

struct channel_check;
struct channel_check *channel_check_new(void);
void channel_check_free(struct channel_check *check);
// The directory has so many partitions from here on, and begins its channels anew. The first call also says that what
// lies before is not there: numbers are then known only of partitions whose first frame is shown, or from a base.
void channel_check_begin(struct channel_check *check, unsigned partitions);
void channel_check_lose(struct channel_check *check); // frames are missing from here on: no number is known any more
// False: the frame is not what can follow, and `what` says why.
bool channel_check_frame(struct channel_check *check, const struct frame *frame, char what[200]);
// A base of a partition holds `saved` (outbox_save; empty: no channels) right after its frame `seq`, which was shown last of
// it, or it is the first that is shown of it. False: it says other numbers than the frames.
bool channel_check_base(struct channel_check *check, unsigned partition, struct bytes saved, char what[200]);
// After the last frame of a journal that nobody writes. False: a partition has what was not sent.
bool channel_check_end(struct channel_check *check, char what[200]);
