/// Gzip members made with zlib: 300 rows with dynamic codes and a file name, one row with fixed codes, one row stored.
enum GzipSamples {
    /// Rows `{"instruction": "Add i and j", "output": "i+j"}` for i in 0..<300 and j = i² mod 97.
    static let dynamic = decode(
        "H4sICAAAAAAA/3Jvd3MuanNvbmwAlZs9kiU3DoT9PcVE2zIKAP9qvT2KQnLkjBTSjKXQ3TXbRBkNZma8dsYZ8pEEQCDxFfvvt9++"
            + "/vXtz++/fPvt969v//3y9r9ff/1yffn5649/33768vb7929/fP/2//+43v75z99otL2Pto+jnY3299Ht4+jBRsf76PvjaKM/3vZW"
            + "RtkL3Xp/H+/94/ig48f7+Ci/3+h+5j5s2X+nx13v40exzqS/f7+PX8X2N3fV9mwUewYdv33rZUPR6YR07ywnvumE7eEfR/wwYfEV"
            + "to/LeKMmte3jKDZqfMJ28igrzEUnbC/fJYqMh6ltP0fxQzc6YTt6liu5qFl9O9rKIYJfy+3pXrY0G52wPX2PempqJ9+ubvXuTzph"
            + "u/q2ugQNDt/ObuUUg+9pO/tuNcPQK+Tb2724YvJTbGev4gkaf759PUo43dQTsX3t9c7RHcX29VrVrjScYju7FzMtnre3r73EX6ee"
            + "i+3rdaR6mpti+3rU5Mf3lNm7GHbSWxfb1VZTB42mSFfXO+Hcd+nsOuOihmrb2604b9FNte3tqPmMGrZtZ1tZYdAr0baza1Wk0dTy"
            + "Xh9liEZs275eNcXySt22s+cRT9yw29uzruFcbWx3z3oOpxHVbjKDrtEvsit6jm745NxW3Yl1qT96YA/yqtobihEeU73DIORR2wcM"
            + "c34v+oQXSVy9vvBl5de73zghNLrGuGDO4UlqGMxqPA0Oh3lTZNoRODd3GrWjwfTP68XosMCIkjQGLmKdOmNMWCd5YR0LVmILbqkb"
            + "1XquDeYFxYSQH9OwYBk0oqZDTSRU1Aysuwa11GxQ2gkxODuWjzzQ54AK1ZyGyJxQBHPVPBeU2cYr/ryhkhfaf124W5jUHctgQ2KN"
            + "huFy2PMYb/RWoK6Kd2GrwbbNRGvbYWdovCVZAzafZvRyrInaW94OrwX7Zxs0QtYNO3Tr1LL3BRmABV3jNkgZzGkauR1yDDM+IyAp"
            + "sYvvqkEUc/GDd0R6br7AQBzp5keYiFKJ8Qv+Pt/PjfYvDmzXhU3E4cdl2A3ccXYRX7uYEjigQmys4ajt4vQdX40hVhn4/i1xFnjF"
            + "RU6wa+E0whPPD4/hXMWzmyVZOxLi4qs8cO3lJG1G8noTUwIXD15uLAlbrVAu4viBbPFy4bTEbEetXcLGuJ4LBWBJ2g7RwGWGJWur"
            + "ysRNQM8Lyx8umCx5W9VYLqChEyE3xMYCqkUX+SWh2yFJpzhLR6pXyGRL7HYo65u7xbF6F3rfHvK26ul5iCV8O/qQxc/y4Dd/uTuy"
            + "B8CV7Opc9luQru0WGwvYGRqnoZYUzuzlftUSw9UW1zkEsQRx4/hMIyxGmnXxnSBhXByZTxj5htDBOEq1xHHjZRBiyeMqO/Hggdww"
            + "oHFR85PJzSPEuI0Ty1XU5LwHt+RylWc57/vsAXPxiVUwmZNnWeT4wmI3NrLwS8K5w5WiHiedG69HWMc4VsVx4rkj9MVtST5XL5i6"
            + "k4noxidufkK6I1k0sQqG8CqLJac7Ep/IlQnqanpVGTlJ3ZHEOfe2ZHVHqRDVZeAvL6qGPbiuulJ8Xnx43Xy9HiexG8d1ERYbUCcI"
            + "ZTHwxzalXxLaHZJn8BBLatfidS2W4O6Qb4MbLMlda6/ryom/sbqI/WR3VfC683hJeHfIaqHEk95V8e5CJyS+qy2C6iom/rDuU/hl"
            + "wXbHG4/KB+EdSpxPSYb3iV4vGV5tD1300ws/pXDR7TwUr4bYxa9Lgrx4vQNPkLeO0OfhkiSvogHvwsT46YyHWGVBzOH884wlzvND"
            + "8vApyfPON0Z8Ywn06lEufvobvpKyW6wRiG7ZLQ7SED+TMzpeQ+xqoHPIk09sK7HGwg5RPiRu55HiyfaO4BLvOBLuHSHMo94T7h0X"
            + "ZYhVAl/HJc4C77zIEp5s70gsLh4gDZy+eMbzZHtHkpxilYUyscjdfpF0zyuEJ9s7isoUr6kMlq7gcewP3IuXa6o/j+dqGeZ60g0X"
            + "e6EPPOHeISnEq6qEe1W4hAmLTSyPuKLyhHtVhAWXFG5E6nF16An3qqAME0/jDMtWTh094d56WU17sr1DgPMXD+5Y5ovOwB+2V5+v"
            + "cUrtCfeOlmWJs0zYGIleyh+4d9eN8SzmpMnjHwg94V5tJZ0zV0+4Z/Zyj+sJ99ZxXcRbysDNN/+e5UFa/CU21iFIcPFmM+GeHd0n"
            + "vy4J98bLFMWT7VXwEsEDOTDeCVHzk+3NI8S4jRPuVVQVvF33hHsViIV45frAvfjEKo1sTJyl4+Mriw1sZOGXhHuHK0U9Trg3Xo+w"
            + "hsGuiuNke0foi9uSbO+4YOJOJtwbn7j5CfeOZBFiFYz1VRZLuHckPpErE+7V9KoycsK9I4lzfO4J945SIapLxx91VA174F4te028"
            + "JDdcXEU9fp7iHTmJW+yBe68ri4E/6Cn9kmzvkDz8zzg82V4VVkqLJdw75FsXBltQJCpdOfDn3BCx/7zKq2fhLyQ94d4hq4UST7hX"
            + "xXsInZBwL+L1rmLij/nBX2V4wr3a7gR/DuwP3DuUuJgyYecmer3ndV7dl+inJ37IEaLbedheDbGLX5eEe/F6B55srzbtMXi4JNur"
            + "aCCa+MMT/IgnQqzSIeYI/k3Hn2d6h7IQUyZENnGJjS3IhW5xevh+y/lHIH/QXp3BD5Jk7/rEDMdriF0FPgc/OX6qp6z7kL3xug9v"
            + "4nYRKcn2juAS8Zhw7whhEfU3fqK579a/3XVMgu86AAA=")
    /// The first of those rows.
    static let fixed = decode(
        "H4sIAAAAAAAA/6tWyswrLikqTS7JzM9TslJQckxJUTBQSMwDkko6Ckr5pSUFpSUgCQOlWi4Atg+86i4AAAA=")
    /// A row whose instruction is `stored`.
    static let stored = decode(
        "H4sIAAAAAAAA/wEpANb/eyJpbnN0cnVjdGlvbiI6ICJzdG9yZWQiLCAib3V0cHV0IjogIngifQr9rxXLKQAAAA==")

    private static func decode(_ text: String) -> [UInt8] {
        var bytes: [UInt8] = []
        var bits: UInt32 = 0
        var count = 0
        for byte in text.utf8 where byte != UInt8(ascii: "=") {
            let value: UInt8 =
                switch byte {
                case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte - 65
                case UInt8(ascii: "a")...UInt8(ascii: "z"): byte - 71
                case UInt8(ascii: "0")...UInt8(ascii: "9"): byte + 4
                case UInt8(ascii: "+"): 62
                default: 63
                }
            bits = bits << 6 | UInt32(value)
            count += 6
            if count >= 8 {
                count -= 8
                bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
            }
        }
        return bytes
    }
}
