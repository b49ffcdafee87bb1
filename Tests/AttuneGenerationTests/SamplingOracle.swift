/// Probabilities computed by transformers; made by dev/golden/sampling.py.
struct SamplingCase {
    var logits: [Float]
    var seen: [Int32]
    var temperature: Float
    var topK: Int
    var topP: Float
    var minP: Float
    var penalty: Float
    var probabilities: [Double]

    static let all: [SamplingCase] = [
        SamplingCase(
            logits: [-0.51, 1.02, -0.45, -0.63, -1.86, -0.43, 2.22, 0.85, 2.07, 0.5], seen: [1, 3, 9],
            temperature: 1.0, topK: 0, topP: 1.0, minP: 0.0, penalty: 1.0,
            probabilities: [
                0.0226854, 0.1047650, 0.0240882, 0.0201201, 0.0058810, 0.0245748, 0.3478322, 0.0883866, 0.2993819,
                0.0622850,
            ]),
        SamplingCase(
            logits: [-0.66, -0.22, -4.45, -1.94, -1.8, -1.94, 2.46, 1.01, 1.35, 0.43], seen: [8, 2, 4],
            temperature: 1.0, topK: 0, topP: 1.0, minP: 0.0, penalty: 1.0,
            probabilities: [
                0.0238964, 0.0371041, 0.0005400, 0.0066441, 0.0076425, 0.0066441, 0.5411666, 0.1269416, 0.1783463,
                0.0710744,
            ]),
        SamplingCase(
            logits: [-2.18, 1.21, -2.31, -1.1, -0.39, -0.85, -1.16, -0.56, 2.58, 1.81], seen: [9, 0, 3],
            temperature: 0.7, topK: 0, topP: 1.0, minP: 0.0, penalty: 1.0,
            probabilities: [
                0.0007331, 0.0929813, 0.0006089, 0.0034294, 0.0094563, 0.0049015, 0.0031477, 0.0074174, 0.6582214,
                0.2191029,
            ]),
        SamplingCase(
            logits: [-2.46, 0.06, 0.38, -2.21, 1.68, -0.88, 0.01, 1.26, 0.15, -0.81], seen: [4, 8, 7],
            temperature: 0.7, topK: 0, topP: 1.0, minP: 0.0, penalty: 1.0,
            probabilities: [
                0.0013052, 0.0477686, 0.0754531, 0.0018655, 0.4833080, 0.0124723, 0.0444756, 0.2652451, 0.0543226,
                0.0137840,
            ]),
        SamplingCase(
            logits: [2.29, -2.28, -1.32, 5.44, 1.53, 1.53, 0.05, -1.15, -0.56, 0.04], seen: [1, 8, 5],
            temperature: 1.0, topK: 3, topP: 1.0, minP: 0.0, penalty: 1.0,
            probabilities: [
                0.0395704, 0, 0, 0.9234181, 0.0185058, 0.0185058, 0, 0, 0, 0,
            ]),
        SamplingCase(
            logits: [-1.0, 1.57, -3.57, 0.07, 0.81, 0.37, -0.39, 3.07, 2.98, 1.57], seen: [4, 7, 9],
            temperature: 1.0, topK: 3, topP: 1.0, minP: 0.0, penalty: 1.0,
            probabilities: [
                0, 0.0945390, 0, 0, 0, 0, 0, 0.4236944, 0.3872276, 0.0945390,
            ]),
        SamplingCase(
            logits: [-0.87, -4.09, -2.72, 3.9, -1.69, 2.17, -1.4, 0.06, -0.76, 3.18], seen: [6, 9, 7],
            temperature: 1.0, topK: 0, topP: 0.6, minP: 0.0, penalty: 1.0,
            probabilities: [
                0, 0, 0, 0.6726070, 0, 0, 0, 0, 0, 0.3273930,
            ]),
        SamplingCase(
            logits: [1.91, 1.06, -3.95, -1.27, 1.68, -3.62, -0.37, 2.04, -2.62, 3.22], seen: [3, 2, 1],
            temperature: 1.0, topK: 0, topP: 0.6, minP: 0.0, penalty: 1.0,
            probabilities: [
                0, 0, 0, 0, 0, 0, 0, 0.2350522, 0, 0.7649478,
            ]),
        SamplingCase(
            logits: [0.65, 1.3, 0.24, 2.29, -1.32, -0.83, 2.08, 0.05, -1.76, 1.89], seen: [2, 8, 0],
            temperature: 1.0, topK: 0, topP: 1.0, minP: 0.1, penalty: 1.0,
            probabilities: [
                0.0591104, 0.1132285, 0.0392287, 0.3047243, 0, 0, 0.2470047, 0.0324405, 0, 0.2042628,
            ]),
        SamplingCase(
            logits: [-3.9, 1.09, 2.88, -0.9, -1.88, -0.73, -1.8, 1.41, -1.05, 0.76], seen: [3, 7, 2],
            temperature: 1.0, topK: 0, topP: 1.0, minP: 0.1, penalty: 1.0,
            probabilities: [
                0, 0.1100654, 0.6592318, 0, 0, 0, 0, 0.1515742, 0, 0.0791287,
            ]),
        SamplingCase(
            logits: [2.09, 1.73, 2.07, 1.55, -4.75, -1.11, -0.58, -0.5, 0.51, 1.88], seen: [4, 5, 8],
            temperature: 1.0, topK: 0, topP: 1.0, minP: 0.0, penalty: 1.3,
            probabilities: [
                0.2258325, 0.1575580, 0.2213607, 0.1316035, 0.0000581, 0.0065982, 0.0156394, 0.0169420, 0.0413512,
                0.1830563,
            ]),
        SamplingCase(
            logits: [-0.98, 0.16, -5.5, 0.41, -1.72, 0.21, 2.05, 2.62, -0.14, -2.28], seen: [2, 8, 0],
            temperature: 1.0, topK: 0, topP: 1.0, minP: 0.0, penalty: 1.3,
            probabilities: [
                0.0104319, 0.0437664, 0.0000293, 0.0561971, 0.0066783, 0.0460103, 0.2897057, 0.5122770, 0.0310894,
                0.0038147,
            ]),
        SamplingCase(
            logits: [2.09, 4.74, -1.98, 2.34, 2.89, -1.73, -0.85, 2.74, 3.25, 2.09], seen: [8, 5, 2],
            temperature: 0.8, topK: 6, topP: 0.9, minP: 0.05, penalty: 1.2,
            probabilities: [
                0, 0.7936522, 0, 0, 0.0785822, 0, 0, 0.0651470, 0.0626186, 0,
            ]),
        SamplingCase(
            logits: [-0.88, 1.12, -2.28, -0.61, -0.88, -2.08, 0.81, -3.27, 0.5, 1.39], seen: [6, 3, 8],
            temperature: 0.8, topK: 6, topP: 0.9, minP: 0.05, penalty: 1.2,
            probabilities: [
                0, 0.2949919, 0, 0, 0, 0, 0.1691351, 0, 0.1224596, 0.4134133,
            ]),
        SamplingCase(
            logits: [-1.86, 0.09, 0.47, 0.09, -0.28, 1.52, -1.77, -4.69, -4.45, 1.53], seen: [5, 9, 1],
            temperature: 1.5, topK: 4, topP: 0.5, minP: 0.3, penalty: 0.8,
            probabilities: [
                0, 0, 0, 0, 0, 0.4979167, 0, 0, 0, 0.5020833,
            ]),
        SamplingCase(
            logits: [0.44, 1.41, 0.44, 1.28, -3.05, -3.02, 1.23, -1.93, -2.05, -2.94], seen: [1, 9, 6],
            temperature: 1.5, topK: 4, topP: 0.5, minP: 0.3, penalty: 0.8,
            probabilities: [
                0, 0.5374298, 0, 0, 0, 0, 0.4625702, 0, 0, 0,
            ]),
        SamplingCase(
            logits: [0.67, -3.26, -1.24, 0.17, 0.44, -1.74, 1.68, -5.07, -1.61, 1.23], seen: [1, 2, 8],
            temperature: 0.3, topK: 0, topP: 0.95, minP: 0.0, penalty: 1.1,
            probabilities: [
                0, 0, 0, 0, 0, 0, 0.8175744, 0, 0, 0.1824256,
            ]),
        SamplingCase(
            logits: [0.47, -0.02, -1.88, -1.21, -1.53, -2.28, -1.87, -1.29, 1.08, -0.45], seen: [8, 2, 0],
            temperature: 0.3, topK: 0, topP: 0.95, minP: 0.0, penalty: 1.1,
            probabilities: [
                0.1360509, 0, 0, 0, 0, 0, 0, 0, 0.8639491, 0,
            ]),
        SamplingCase(
            logits: [5.3, 0.48, -1.44, -1.98, 1.95, -0.86, 2.59, -2.7, 0.48, 1.48], seen: [4, 8, 3],
            temperature: 2.0, topK: 5, topP: 0.05, minP: 0.0, penalty: 1.0,
            probabilities: [
                1.0000000, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            ]),
        SamplingCase(
            logits: [0.15, -1.77, -3.65, 0.15, 3.04, 1.23, 2.36, -1.77, 0.96, -2.21], seen: [8, 2, 9],
            temperature: 2.0, topK: 5, topP: 0.05, minP: 0.0, penalty: 1.0,
            probabilities: [
                0, 0, 0, 0, 1.0000000, 0, 0, 0, 0, 0,
            ]),
    ]
}
