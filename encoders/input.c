/* SPDX-License-Identifier: GPL-2.0-or-later
 * The table of inputs. Layer: encoders.
 */
#include "encoders/input.h"

static const struct sl_input_class *const classes[SL_ENC_SOURCE_COUNT] = {
    [SL_ENC_FILE] = &sl_input_file,
    [SL_ENC_TEST] = &sl_input_test,
    [SL_ENC_NET] = &sl_input_net,
};

const char *sl_input_label(const struct sl_encspec *spec)
{
    return spec->source == SL_ENC_NET    ? spec->net.url
           : spec->source == SL_ENC_FILE ? spec->file.path
                                         : "the test source";
}

struct sl_input *sl_input_new(const struct sl_encspec *spec, AVIOInterruptCB interrupt)
{
    struct sl_input *input = sl_alloc(sizeof(*input));

    input->class = classes[spec->source];
    input->interrupt = interrupt;
    input->copy = spec->mode == SL_ENC_COPY;
    return input;
}

void sl_input_free(struct sl_input *input)
{
    if (!input)
        return;
    input->class->close(input);
    for (int m = 0; m < SL_MEDIA_COUNT; m++)
        avcodec_parameters_free(&input->track[m].par);
    free(input);
}
